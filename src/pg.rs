//! Everything that knows PostgreSQL.
mod api;
mod error;
mod guc;
