//! Source rows against documents rows.
use crate::catalog::collection::key;
use crate::catalog::collection::key::KeyColumn;
use crate::catalog::target::Target;
use crate::maintain::verify::waiting::Waiting;
use crate::maintain::verify::{Finding, QUEUED, as_owner};
use crate::sys::cursor;
use crate::sys::spi::{fill, required};
use pgrx::spi::SpiHeapTupleData;
use rag::Result;

/// Compares in the snapshot in force. Reads the whole source, row by row.
pub fn compare(target: &Target, repairs: bool) -> Result<Vec<Finding>> {
    // By the number that the statement gives each kind.
    let mut counts = [0; 3];
    if let Some(waiting) = Waiting::load(target)? {
        let sql = statement(target);
        as_owner(target, || {
            cursor::batches(&sql, &[], kind_and_key, |rows| {
                let (kinds, keys): (Vec<i32>, Vec<String>) = rows.into_iter().unzip();
                for position in waiting.others(&keys) {
                    counts[kinds[position].unsigned_abs() as usize] += 1;
                }
                Ok(())
            })
        })?;
    }
    let action = repairs.then_some(QUEUED);
    let problems = ["document missing", "document changed", "document without source row"];
    Ok(problems.into_iter().zip(counts).map(|(p, found)| Finding::new(p, found, action)).collect())
}

fn kind_and_key(row: &SpiHeapTupleData<'_>) -> (i32, String) {
    let texts: Vec<String> = required(row, 2);
    (required(row, 1), key::encode(texts.iter().map(String::as_str)))
}

fn statement(target: &Target) -> String {
    let collection = &target.collection;
    let each = |of: &dyn Fn(&KeyColumn) -> String| {
        collection.keys.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let columns = each(&|key| format!("s.{} AS {}", key.name_sql(), key.stored_name()));
    let equal = |key: &KeyColumn| {
        key.equal(&format!("s.{}", key.stored_name()), &format!("d.{}", key.stored_name()))
    };
    let equal: Vec<String> = collection.keys.iter().map(equal).collect();
    let text = |of: &'static str| {
        each(&move |key| format!("pg_catalog.format('%s', {of}.{})", key.stored_name()))
    };
    fill(
        statement!("maintain/verify_documents"),
        &[
            ("source_keys", &columns),
            ("title", &collection.title_text("s")),
            ("content", &collection.content_sql()),
            ("source", &collection.source_sql),
            ("documents", &target.documents),
            ("equal", &equal.join(" AND ")),
            ("source_texts", &text("s")),
            ("document_texts", &text("d")),
            ("source_equal", &collection.keys_equal("s", "d")),
        ],
    )
}
