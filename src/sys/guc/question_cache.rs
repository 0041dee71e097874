//! The setting of the cache of question embeddings.
use crate::sys::process::is_preloading;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

/// More do not help: the memory is better spent on buffers.
const MAX_SIZE: i32 = 65_536;

static SIZE: GucSetting<i32> = GucSetting::<i32>::new(128);

/// Questions whose embeddings are kept.
pub fn size() -> usize {
    usize::try_from(SIZE.get()).unwrap_or_default()
}

/// Defines the setting. Shared memory is made when the server starts; without preloading the setting is one
/// of the file, as PostgreSQL ends a backend that defines a postmaster's setting after start-up.
pub fn init() {
    let context = if is_preloading() { GucContext::Postmaster } else { GucContext::Sighup };
    GucRegistry::define_int_guc(
        c"rag_pg.query_cache_size",
        c"Questions whose embeddings are kept for when they are asked again.",
        c"Each takes 65 kB of shared memory; 0 turns it off. Without preloading each session keeps up to 16 for itself.",
        &SIZE,
        0,
        MAX_SIZE,
        context,
        GucFlags::default(),
    );
}
