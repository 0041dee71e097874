//! Settings of how much is taken at once.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static MAX_DOCUMENT_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64 << 10);
static MAX_ARRAY_ITEMS: GucSetting<i32> = GucSetting::<i32>::new(100_000);

/// Most bytes of a text.
pub fn max_document_size() -> usize {
    usize::try_from(MAX_DOCUMENT_SIZE.get()).unwrap_or_default() << 10
}

/// Most elements of an array of texts.
pub fn max_array_items() -> usize {
    usize::try_from(MAX_ARRAY_ITEMS.get()).unwrap_or_default()
}

/// Defines the settings. What a session may take of the server's memory and time is the administrator's to decide, for
/// the server, a database or a role.
pub fn init() {
    GucRegistry::define_int_guc(
        c"rag_pg.max_document_size",
        c"Most bytes of a text that is divided, embedded, ranked or answered from.",
        c"A document of a collection that is larger is given up. Dividing a text takes several times its size of memory.",
        &MAX_DOCUMENT_SIZE,
        1,
        1 << 20,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"rag_pg.max_array_items",
        c"Most elements of an array of texts that is embedded, ranked or answered from.",
        c"Their vectors are held in memory until all are done.",
        &MAX_ARRAY_ITEMS,
        1,
        10_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
}
