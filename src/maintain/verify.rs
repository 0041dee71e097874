//! Finds and repairs inconsistencies of a collection.
//!
//! Documents are compared with the source in one snapshot; a document whose change is still in the queue is not reported.
//! Repairs of documents go through the queue: a comparison by the workers finds them again, and creates only the chunks
//! that differ.
mod chunks;
mod counters;
mod documents;
mod inverted;
mod objects;

use crate::catalog::collection::Collection;
use crate::catalog::target::Target;
use crate::sys::cursor::Snapshot;
use crate::sys::rights;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::workers::wake;
use rag::search::analysis::VERSION;
use rag::{Error, Result};

/// One kind of problem.
pub struct Finding {
    /// What is wrong, in the singular.
    pub problem: &'static str,
    /// How often.
    pub found: i64,
    /// What was done about it; `None` for nothing.
    pub action: Option<&'static str>,
}

impl Finding {
    /// With what was done about it, if it was found and is to be repaired.
    fn new(problem: &'static str, found: i64, action: Option<&'static str>) -> Self {
        Self { problem, found, action: action.filter(|_| found > 0) }
    }
}

/// Runs every check, and repairs what it finds if `repairs`.
pub fn verify(collection: &Collection, repairs: bool) -> Result<Vec<Finding>> {
    require_keys(collection)?;
    let targets = live_targets(collection)?;
    // First: dropping a trigger queues a comparison, after which every difference counts as pending.
    let mut compared = Vec::new();
    for target in &targets {
        let _snapshot = Snapshot::take();
        add(&mut compared, documents::compare(target, repairs)?);
    }
    let mut findings = objects::verify(collection, &targets, repairs)?;
    for target in &targets {
        add(&mut compared, chunks::verify(target, repairs)?);
        add(&mut compared, vec![inverted::verify(target, repairs)?]);
        add(&mut compared, vec![counters::verify(target, repairs)]);
    }
    findings.extend(compared);
    findings.push(analysis(collection));
    findings.push(identity(collection, repairs));
    if repairs {
        // Rows may have changed unnoticed until the triggers were there, after the comparison here.
        let queues = |f: &Finding| {
            f.found > 0 && (f.action == Some(QUEUED) || f.problem == objects::TRIGGER)
        };
        if findings.iter().any(queues) {
            let everything = "INSERT INTO rag.change (collection_id, keys) VALUES ($1, NULL)";
            as_extension_owner(|| execute(everything, &[collection.id.into()]));
        }
        wake::changes_written();
    }
    Ok(findings)
}

/// Creates what a collection lacks of its objects and corrects its counters, without a look at any document.
pub fn restore_objects(collection: &Collection) -> Result<()> {
    require_keys(collection)?;
    let targets = live_targets(collection)?;
    objects::verify(collection, &targets, true)?;
    for target in &targets {
        counters::verify(target, true);
    }
    Ok(())
}

fn live_targets(collection: &Collection) -> Result<Vec<Target>> {
    let mut live = collection.generations();
    live.retain(|generation| generation.state.is_live());
    live.iter().map(|generation| Target::reload(generation.id)).collect()
}

/// The action for a document: a comparison by the workers finds it again.
const QUEUED: &str = "queued";

fn require_keys(collection: &Collection) -> Result<()> {
    if !collection.keys.is_empty() {
        return Ok(());
    }
    let name = &collection.name;
    Err(Error::not_ready(format!("the source of collection \"{name}\" has no primary key"))
        .with_hint("Add the primary key again, or drop the collection with rag_drop_collection()."))
}

/// Adds what one generation has to what the others have.
fn add(sums: &mut Vec<Finding>, found: Vec<Finding>) {
    for finding in found {
        match sums.iter_mut().find(|sum| sum.problem == finding.problem) {
            Some(sum) => {
                sum.found += finding.found;
                sum.action = sum.action.or(finding.action);
            }
            None => sums.push(finding),
        }
    }
}

/// Generations whose texts became words by another analysis than that of questions: some words are not found.
fn analysis(collection: &Collection) -> Finding {
    let sql = "SELECT 1 FROM rag.generation g \
               WHERE g.collection_id = $1 AND g.state <> 'retired' AND g.analysis <> $2";
    let args = [collection.id.into(), VERSION.into()];
    Finding::new(
        "words of another version",
        crate::sys::spi::read(sql, &args, |_| ()).len() as i64,
        None,
    )
}

/// A collection that was restored or cloned from another database: stores the identity of this one, which resumes it.
fn identity(collection: &Collection, repairs: bool) -> Finding {
    let foreign = "SELECT 1 FROM rag.collection c \
                   WHERE c.collection_id = $1 AND c.home <> rag.home(c.source)";
    let found = crate::sys::spi::read(foreign, &[collection.id.into()], |_| ()).len();
    if repairs && found > 0 {
        let sql = statement!("maintain/verify_identity");
        as_extension_owner(|| execute(sql, &[collection.id.into()]));
    }
    Finding::new("restored or cloned", found as i64, repairs.then_some("goes on"))
}

/// Runs `body` as the source's owner.
fn as_owner<R>(target: &Target, body: impl FnOnce() -> R) -> R {
    rights::as_source_owner(target.collection.owner, body)
}
