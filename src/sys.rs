//! PostgreSQL as the rest of the crate sees it: process facts, transactions, SPI, privileges, settings, shared memory, datums.
//! The bottom floor: it imports no other, and is where a call of PostgreSQL's is made safe.
pub mod background;
pub mod cursor;
pub mod datum;
pub mod error;
pub mod exit;
pub mod failed;
pub mod ffi;
pub mod guc;
pub mod interrupt;
pub mod limit;
pub mod lock_retry;
pub mod memory;
pub mod names;
pub mod plan;
pub mod privileges;
pub mod process;
pub mod relation_size;
pub mod rights;
pub mod rows;
pub mod shmem;
pub mod spi;
pub mod started;
pub mod text_search;
pub mod time_limit;
pub mod transaction;
pub mod workers;
