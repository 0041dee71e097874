//! Retrieval-augmented generation inside PostgreSQL, beside pgvector: everything that knows PostgreSQL.
//! What needs none is the crate `rag`.
/// The text of `sql/run/NAME.sql`.
macro_rules! statement {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/run/", $name, ".sql"))
    };
}

mod answer;
mod api;
mod catalog;
mod ingest;
mod maintain;
mod models;
mod search;
mod sys;
mod worker;

pgrx::extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
pgrx::extension_sql_file!(
    "../sql/catalog.sql",
    name = "catalog",
    requires = ["bootstrap", source_hash]
);
pgrx::extension_sql_file!(
    "../sql/status.sql",
    name = "status",
    requires = [
        "catalog",
        "pgvector",
        "job_count",
        "call_log",
        home,
        worker_state,
        size_unless_locked,
        distributed_status,
        jobs_of_both,
        rag_query_cache
    ]
);
pgrx::extension_sql_file!("../sql/call_log.sql", name = "call_log", requires = ["catalog"]);
pgrx::extension_sql_file!(
    "../sql/answer_request.sql",
    name = "answer_request",
    requires = ["catalog", identity::home]
);
pgrx::extension_sql_file!("../sql/query_log.sql", name = "query_log", requires = ["catalog"]);
pgrx::extension_sql_file!("../sql/query_stats.sql", name = "query_stats", requires = ["catalog"]);
pgrx::extension_sql_file!(
    "../sql/model.sql",
    name = "model",
    requires = ["bootstrap", "remote", rag_models]
);
pgrx::extension_sql_file!("../sql/pgvector.sql", name = "pgvector", requires = ["bootstrap"]);
pgrx::extension_sql_file!("../sql/embed.sql", name = "embed", requires = ["bootstrap"]);
pgrx::extension_sql_file!("../sql/remote.sql", name = "remote", requires = ["bootstrap"]);

/// Called once per process that loads the library; in the postmaster when it is preloaded.
#[pgrx::pg_guard]
#[allow(unsafe_code)] // An exported name.
pub extern "C-unwind" fn _PG_init() {
    sys::error::init();
    sys::memory::init();
    sys::guc::init();
    models::preload::init();
    models::question_cache::init();
    worker::init();
    models::remote::init();
    models::call_log::init();
    search::query_stats::init();
    search::part::init();
    sys::started::init();
}

pgrx::pg_module_magic!(name, version);
