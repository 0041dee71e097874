//! Collections and generations as the catalog describes them, and the tables, triggers, policies and views that belong to them.
//! Imports `sys` and `models`.
mod changes;
pub mod collection;
pub mod distributed;
pub mod follow_ddl;
pub mod generation;
pub mod identity;
pub mod inverted;
pub mod language;
mod lexeme_count;
pub mod lexical;
pub mod manifest;
pub mod model;
pub mod objects;
pub mod target;
pub mod vector_index;
