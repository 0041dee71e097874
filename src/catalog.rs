//! TODO
pub mod collection;
pub mod follow_ddl;
pub mod generation;
pub mod identity;
pub mod lexical;
pub mod model;
pub mod objects;
pub mod target;
pub mod vector_index;
