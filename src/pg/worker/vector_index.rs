//! The vector index, built once the first load is in.
use super::collection::Target;
use super::failed::Failed;
use super::host::Host;
use crate::pg::collection::create::extension_schema;
use crate::pg::rights::{as_extension_owner, as_source_owner};
use crate::pg::spi::{execute, fill, query, required};

/// Builds the index of a generation and notes that it is loaded.
pub fn build(host: &Host, generation: i32) -> Result<(), Failed> {
    host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(()) };
        if target.generation.is_loaded {
            return Ok(());
        }
        if target.generation.index_method != "none" {
            let schema = extension_schema("vector");
            as_source_owner(target.collection.owner, || create(&target, &schema));
        }
        let sql = include_str!("../../../sql/run/work_loaded.sql");
        as_extension_owner(|| execute(sql, &[generation.into()]));
        Ok(())
    })
}

fn create(target: &Target, vector_schema: &str) {
    let method = target.generation.index_method.as_str();
    let options = if method == "ivfflat" { ivfflat_options(target) } else { String::new() };
    let names = [
        ("chunks", target.chunks.as_str()),
        ("method", method),
        ("vector_schema", vector_schema),
        ("options", &options),
    ];
    execute(&fill(include_str!("../../../sql/run/work_build_index.sql"), &names), &[]);
}

/// Lists for ivfflat: the square root of the number of rows.
fn ivfflat_options(target: &Target) -> String {
    let sql = fill("SELECT pg_catalog.count(1) FROM {chunks}", &[("chunks", &target.chunks)]);
    let rows: i64 = query(&sql, &[], |row| required(&row, 1)).pop().unwrap_or_default();
    let lists = (rows.max(1) as f64).sqrt().ceil().clamp(1.0, 32_768.0);
    format!("WITH (lists = {lists})")
}
