//! Everything that knows PostgreSQL.
mod answer_request;
mod api;
mod attempt;
mod call_log;
mod client_output;
mod collection;
mod cursor;
mod ddl;
mod embedder;
mod error;
mod exit;
mod generation;
mod guc;
mod home;
mod interrupt;
mod json;
mod lexical;
mod limit;
mod maintain;
mod memory;
mod model;
mod names;
mod plan;
mod preload;
mod query_log;
mod query_stats;
mod question_cache;
mod remote;
mod rights;
mod rows;
mod search;
mod spi;
mod stored_text;
mod trigger;
mod vector;
mod vector_index;
mod verify;
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
        "job_count",
        "call_log",
        home,
        worker_state,
        size_unless_locked,
        jobs_of_both,
        rag_query_cache
    ]
);
pgrx::extension_sql_file!("../sql/call_log.sql", name = "call_log", requires = ["catalog"]);
pgrx::extension_sql_file!(
    "../sql/answer_request.sql",
    name = "answer_request",
    requires = ["catalog", home::home]
);
pgrx::extension_sql_file!("../sql/query_log.sql", name = "query_log", requires = ["catalog"]);
pgrx::extension_sql_file!("../sql/query_stats.sql", name = "query_stats", requires = ["catalog"]);
pgrx::extension_sql_file!(
    "../sql/model.sql",
    name = "model",
    requires = ["bootstrap", "remote", rag_models]
);
pgrx::extension_sql_file!("../sql/embed.sql", name = "embed", requires = ["bootstrap"]);
pgrx::extension_sql_file!("../sql/remote.sql", name = "remote", requires = ["bootstrap"]);

/// Called once per process that loads the library; in the postmaster when it is preloaded.
#[pgrx::pg_guard]
#[allow(unsafe_code)] // An exported name.
pub extern "C-unwind" fn _PG_init() {
    error::init();
    memory::init();
    guc::init();
    preload::init();
    question_cache::init();
    worker::init();
    remote::init();
    call_log::init();
    query_stats::init();
    lexical::started::init();
}
