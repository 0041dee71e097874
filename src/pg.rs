//! Everything that knows PostgreSQL.
mod api;
mod collection;
mod error;
mod guc;
mod rights;
mod spi;

pgrx::extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
pgrx::extension_sql_file!("../sql/catalog.sql", name = "catalog", requires = ["bootstrap"]);
