//! TODO
pub mod index_ddl;
pub mod pending_list;
pub mod pipeline;
pub mod queue;
pub mod scan;
pub mod trigger;
