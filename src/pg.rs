//! Everything that knows PostgreSQL.
mod api;
mod collection;
mod error;
mod guc;
mod rights;
mod spi;
mod trigger;
mod worker;

pgrx::extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
pgrx::extension_sql_file!("../sql/catalog.sql", name = "catalog", requires = ["bootstrap"]);
