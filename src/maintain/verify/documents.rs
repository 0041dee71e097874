//! Compares source rows with documents rows, except where a change is still in the queue.
use crate::catalog::collection::key;
use crate::catalog::collection::key::KeyColumn;
use crate::catalog::target::Target;
use crate::maintain::verify::{Finding, QUEUED, as_owner};
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{fill, required};
use crate::sys::{cursor, plan};
use pgrx::spi::SpiHeapTupleData;
use rag::{Error, Result};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Compares in the snapshot in force. Reads the whole source, row by row.
pub fn compare(target: &Target, repairs: bool) -> Result<Vec<Finding>> {
    // Indexed by the kind that the statement returns.
    let mut counts = [0; 3];
    if let Some(pending) = PendingChanges::load(target)? {
        let sql = statement(target);
        as_owner(target, || {
            cursor::batches(&sql, &[], kind_and_key, |rows| {
                let (kinds, keys): (Vec<i32>, Vec<String>) = rows.into_iter().unzip();
                for position in pending.others(&keys) {
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
            ("source_hash", &collection.source_hash("s")),
            ("source", &collection.source_sql),
            ("documents", &target.documents),
            ("equal", &equal.join(" AND ")),
            ("source_texts", &text("s")),
            ("document_texts", &text("d")),
            ("source_equal", &collection.keys_equal("s", "d")),
        ],
    )
}

/// Most pending keys held in memory, eight bytes each.
const KEYS: usize = 8_000_000;

fn key(row: &SpiHeapTupleData<'_>) -> String {
    required(row, 1)
}

/// Documents of a generation with a pending change, in the active snapshot.
pub struct PendingChanges {
    generation: i32,
    hasher: RandomState,
    changed: HashSet<u64>,
}

impl PendingChanges {
    /// `None` when a comparison with the whole source is pending: then every document is.
    pub fn load(target: &Target) -> Result<Option<Self>> {
        let (generation, collection) = (target.generation.id, target.collection.id);
        let compared = statement!("maintain/verify_is_compared");
        let is_compared = as_extension_owner(|| {
            let args = [generation.into(), collection.into()];
            plan::read(compared, &args, |row| required::<bool>(row, 1)) == [true]
        });
        if is_compared {
            return Ok(None);
        }
        let hasher = RandomState::new();
        let mut changed = HashSet::new();
        let sql = statement!("maintain/verify_changed");
        as_extension_owner(|| {
            cursor::batches(sql, &[collection.into()], key, |keys| {
                changed.extend(keys.iter().map(|key| hasher.hash_one(key)));
                if changed.len() <= KEYS {
                    return Ok(());
                }
                let name = &target.collection.name;
                Err(Error::not_ready(format!("too many changes of collection \"{name}\" wait"))
                    .with_hint("Let the workers, or CALL rag_work(), catch up first."))
            })
        })?;
        Ok(Some(Self { generation, hasher, changed }))
    }

    /// Positions of those `keys` that have no pending change.
    pub fn others(&self, keys: &[String]) -> Vec<usize> {
        let sql = statement!("maintain/verify_jobs");
        let queued: HashSet<String> = as_extension_owner(|| {
            let args = [self.generation.into(), keys.to_vec().into()];
            plan::read(sql, &args, |row| required(row, 1)).into_iter().collect()
        });
        let waits = |key: &String| {
            queued.contains(key) || self.changed.contains(&self.hasher.hash_one(key))
        };
        (0..keys.len()).filter(|&position| !waits(&keys[position])).collect()
    }
}
