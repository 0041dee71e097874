//! Settings: private statics behind typed accessors, one file a subject. Who may set each, and why,
//! stands beside it.
/// A path below the directory that `PREFIX` named when this was built; `build.rs` hands it on.
macro_rules! installed {
    ($path:literal) => {{
        const PATH: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
            concat!(env!("PREFIX"), $path, "\0").as_bytes(),
        ) {
            Ok(path) => path,
            Err(_) => panic!("a path with a NUL"),
        };
        PATH
    }};
}

pub mod answer;
pub mod call_log;
pub mod extract;
pub mod limit;
pub mod model;
pub mod query_log;
pub mod question_cache;
pub mod remote;
pub mod scope;
pub mod search;
pub mod worker;

/// Defines every setting; called while the library is loaded.
pub fn init() {
    answer::init();
    model::init();
    call_log::init();
    extract::init();
    limit::init();
    query_log::init();
    question_cache::init();
    remote::init();
    search::init();
    worker::init();
    reserve_prefix();
}

/// From here on `rag_pg.` is ours: a mistyped setting is an error instead of a placeholder.
#[allow(unsafe_code)]
fn reserve_prefix() {
    // SAFETY: called while the library is loaded, after all settings are defined; the name is
    // static.
    unsafe { pgrx::pg_sys::MarkGUCPrefixReserved(c"rag_pg".as_ptr()) };
}
