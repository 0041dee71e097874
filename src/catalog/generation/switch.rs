//! Switches searches from one generation to another.
use crate::catalog::collection::{Collection, Generation, State};
use crate::catalog::generation::{lock, no_generation};
use crate::catalog::objects::{create_view, record_view};
use crate::sys::failed::Failed;
use crate::sys::lock_retry::{attempt_timeout, with_short_locks};
use crate::sys::rights::{as_extension_owner, as_source_owner, with_lock_timeout};
use crate::sys::rows::row;
use crate::sys::spi::{execute, query};
use crate::sys::transaction::Host;
use rag::{Error, Result};

/// Makes a generation active: this one, or the one being built. Unless `force`, an error when it lacks documents. Returns its
/// id.
pub fn switch(collection: &Collection, generation: Option<i32>, force: bool) -> Result<i32> {
    with_short_locks(&lock_purpose(collection), || {
        let collection = lock(collection)?;
        let target = switch_target(&collection, generation)?;
        if !force && target.state != State::Active {
            require_no_shortfall(&collection, &target)?;
        }
        activate(&collection, &target)?;
        Ok(target.id)
    })
}

/// Makes the generation on standby active again. Returns its id, and what it lacks, if anything.
pub fn roll_back(collection: &Collection) -> Result<(i32, Option<String>)> {
    with_short_locks(&lock_purpose(collection), || {
        let collection = lock(collection)?;
        let target = collection.generation_in(State::Standby).ok_or_else(|| {
            Error::not_ready(format!(
                "collection \"{}\" has no generation to go back to",
                collection.name
            ))
            .with_hint("rag_switch leaves the previous one on standby until rag_prune drops it.")
        })?;
        let shortfall = Readiness::of(&target).shortfall();
        activate(&collection, &target)?;
        Ok((target.id, shortfall))
    })
}

/// Switches to a generation that was to become active once complete. Run by a worker. False when a lock
/// is not available: it tries again later, with the next `attempt`, and meanwhile does other work.
pub fn switch_when_complete(host: &Host, generation: i32, attempt: u32) -> Result<bool, Failed> {
    host.reached("switching");
    let switched = host.transaction(|| {
        let Some(generation) = Generation::by_id(generation) else { return Ok(()) };
        let Some(collection) = Collection::by_id(generation.collection)? else { return Ok(()) };
        with_lock_timeout(attempt_timeout(attempt), || {
            let collection = lock(&collection)?;
            let Some(target) = Generation::by_id(generation.id) else { return Ok(()) };
            if target.state != State::Building {
                return Ok(());
            }
            let readiness = Readiness::of(&target);
            match readiness.shortfall() {
                None => activate(&collection, &target)?,
                Some(shortfall) if readiness.missing > 0 => {
                    cancel_automatic_switch(
                        &target,
                        &format!("did not switch by itself: {shortfall}"),
                    );
                }
                // Something was written since the worker chose this step.
                Some(_) => {}
            }
            Ok(())
        })
    });
    match switched {
        Ok(()) => Ok(true),
        Err(failed) if failed.is_lock_failure() => Ok(false),
        Err(failed) => Err(failed),
    }
}

fn lock_purpose(collection: &Collection) -> String {
    format!("switch collection \"{}\"", collection.name)
}

fn switch_target(collection: &Collection, generation: Option<i32>) -> Result<Generation> {
    let Some(id) = generation else {
        return collection.generation_in(State::Building).ok_or_else(|| {
            Error::not_ready(format!("collection \"{}\" is not being rebuilt", collection.name))
                .with_hint("Make a generation with rag_rebuild(), or go back to the previous one with rag_rollback().")
        });
    };
    let found = collection.generations().into_iter().find(|one| one.id == id);
    let found = found.ok_or_else(|| no_generation(collection, id))?;
    if found.state == State::Retired {
        return Err(Error::not_ready(format!(
            "generation {id} of collection \"{}\" follows the source no more",
            collection.name
        ))
        .with_hint("Make a new one with rag_rebuild(), and drop this one with rag_prune()."));
    }
    Ok(found)
}

row! {
    /// How much of the active generation's documents a generation has.
    struct Readiness {
        is_loaded: bool,
        indexed: i64,
        documents: i64,
        behind: i64,
        missing: i64,
    }
}

impl Readiness {
    fn of(generation: &Generation) -> Self {
        let sql = statement!("catalog/load_readiness");
        as_extension_owner(|| query(sql, &[generation.id.into()], |row| Self::read(&row)))
            .pop()
            .expect("a generation has a row in the view")
    }

    /// In words; `None` when nothing is lacking.
    fn shortfall(&self) -> Option<String> {
        let mut shortfall = Vec::new();
        if !self.is_loaded {
            let (indexed, documents) = (self.indexed, self.documents);
            shortfall.push(format!("{indexed} of {documents} documents found so far are loaded"));
        } else if self.behind > 0 {
            shortfall.push(format!("{} documents are waiting", self.behind));
        }
        if self.missing > 0 {
            shortfall.push(format!("{} documents were given up", self.missing));
        }
        (!shortfall.is_empty()).then(|| shortfall.join(", "))
    }
}

/// What a generation lacks of what the active one has, in words.
pub fn shortfall(generation: &Generation) -> Option<String> {
    Readiness::of(generation).shortfall()
}

fn require_no_shortfall(collection: &Collection, target: &Generation) -> Result<()> {
    let Some(shortfall) = Readiness::of(target).shortfall() else { return Ok(()) };
    Err(Error::not_ready(format!(
        "generation {} of collection \"{}\" is not complete",
        target.id, collection.name
    ))
    .with_detail(format!("Of what the active generation has, {shortfall}."))
    .with_hint(
        "Wait, and see rag.generation_status and rag.dead_job; force => true switches all the same.",
    ))
}

fn activate(collection: &Collection, target: &Generation) -> Result<()> {
    let active = collection.active_generation()?;
    if active.id == target.id {
        return Ok(());
    }
    target.require_policies(collection)?;
    as_source_owner(collection.owner, || create_view(collection, target))?;
    as_extension_owner(|| {
        for sql in statement!("catalog/switch_states").split(";\n") {
            execute(sql, &[collection.id.into(), target.id.into(), active.id.into()]);
        }
    });
    // The view may have been dropped by a user, and was created anew.
    record_view(collection);
    pgrx::log!("rag_pg: collection \"{}\" switched to generation {}", collection.name, target.id);
    Ok(())
}

/// Stores why a generation was not switched to, for `rag.generation_status`, and does not try again.
fn cancel_automatic_switch(target: &Generation, reason: &str) {
    let stop = "UPDATE rag.generation SET switches = false WHERE generation_id = $1";
    let note = "UPDATE rag.progress SET error = $2, sqlstate = NULL WHERE generation_id = $1";
    as_extension_owner(|| {
        execute(stop, &[target.id.into()]);
        execute(note, &[target.id.into(), reason.into()]);
    });
}
