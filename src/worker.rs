//! Background processes: the launcher, workers, index builders, and the queues that they drain.
pub mod answers;
pub mod drain;
pub mod index_builder;
mod launcher;
mod process;
pub mod work;

/// Prepares background work; called while the library is loaded.
pub fn init() {
    launcher::init();
}
