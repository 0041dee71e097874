//! Reading rows without leaving copies of their values behind.
#![allow(unsafe_code)] // switches memory contexts

use pgrx::PgMemoryContexts;

/// Runs `read`, which reads values of rows as values of Rust's. pgrx copies what it reads into the parent of the
/// context in force, which under SPI is the transaction's: a session that calls us in a loop would grow with every row
/// until it commits. Here that parent is the connection's memory, or whatever context was in force.
pub fn reading<R>(read: impl FnOnce() -> R) -> R {
    let mut context = PgMemoryContexts::new("rag_pg values");
    // SAFETY: what is returned is Rust's, not allocated in the context.
    unsafe { context.switch_to(|_| read()) }
}
