//! Documents that differ because their change waits in the queue.
use crate::catalog::target::Target;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::required;
use crate::sys::{cursor, plan};
use pgrx::spi::SpiHeapTupleData;
use rag::Error;
use rag::Result;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Most waiting keys that are held in memory, eight bytes each.
const KEYS: usize = 8_000_000;

fn key(row: &SpiHeapTupleData<'_>) -> String {
    required(row, 1)
}

/// Which documents of a generation wait, in the snapshot in force.
pub struct Waiting {
    generation: i32,
    hasher: RandomState,
    changed: HashSet<u64>,
}

impl Waiting {
    /// Reads what waits. `None` when the whole source is to be compared: then every document waits.
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

    /// Those of `keys` that do not wait, by position.
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
