//! Whether another extension's index is there and complete. Some lose what they had in memory when the server
//! ends: one that was not looked at since is neither asked nor written to.
use crate::catalog::lexical::{Index, Installed, create_index, is_checked};
use crate::catalog::target::Target;
use crate::sys::names::relation_sql;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{execute, fill, query, read, required};
use pgrx::pg_sys::Oid;

/// Chunks among which one must be found by its own words.
const AMONG: usize = 100;

/// What a generation lacks of what its engine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The extension, or one that will do.
    Extension,
    /// The index.
    Index,
    /// Chunks that the index should have and has not.
    Chunks,
    /// Somebody who looked since the server started. Nothing else is lacking.
    Check,
}

/// Looks whether a generation's engine has what it needs. `repairs`: what the index lacks, it gets.
pub fn verify(target: &Target, repairs: bool) -> Option<Lack> {
    let (lack, installed) = look(target)?;
    if repairs && installed.is_some() {
        if lack != Lack::Check {
            drop_index(target);
            let generation = &target.generation;
            as_source_owner(target.collection.owner, || {
                create_index(generation.lexical, generation.id, &target.chunks);
            });
        }
        note_checked(target);
    }
    Some(lack)
}

/// Before chunks are written: an index that lost some is dropped, since its extension may not survive that
/// another is put into it. Searches go on with the built-in one.
pub fn before_write(target: &Target) {
    if !target.generation.lexical.is_foreign() || is_checked(&target.generation) {
        return;
    }
    match look(target) {
        Some((Lack::Chunks, _)) => {
            let (name, engine) = (&target.collection.name, target.generation.lexical.name());
            pgrx::warning!(
                "rag_pg: the index of {engine} for collection \"{name}\" was incomplete and is dropped"
            );
            drop_index(target);
        }
        Some((Lack::Check, _)) => note_checked(target),
        _ => {}
    }
}

fn look(target: &Target) -> Option<(Lack, Option<Installed>)> {
    let Target { collection, generation, .. } = target;
    let engine = generation.lexical;
    if !engine.is_foreign() {
        return None;
    }
    let found = Installed::find(engine, collection.owner, generation.chunks);
    let Some(found) = found.filter(|f| f.may_use && engine.accepts(&f.version)) else {
        return Some((Lack::Extension, None));
    };
    let Some(oid) = found.index else { return Some((Lack::Index, Some(found))) };
    let schema_sql = found.schema_sql.clone();
    let index = Index { engine, oid, schema_sql, owner: collection.owner };
    if !is_complete(&index, target) {
        return Some((Lack::Chunks, Some(found)));
    }
    (!is_checked(generation)).then_some((Lack::Check, Some(found)))
}

/// Whether the oldest and the newest chunks are found by their own words. What was lost was in memory, and so
/// the newest.
fn is_complete(index: &Index, target: &Target) -> bool {
    let names = [("chunks", target.chunks.as_str())];
    let sql = fill(statement!("catalog/lexical_sample"), &names);
    let sample = as_source_owner(target.collection.owner, || {
        query(&sql, &[], |row| (required::<i64>(&row, 1), required::<Vec<String>>(&row, 2)))
    });
    sample.iter().filter(|(_, lexemes)| !lexemes.is_empty()).all(|(chunk_id, lexemes)| {
        let lexemes =
            lexemes.iter().map(String::as_str).take(rag::search::partial_results::MAX_TERMS);
        let best = index.best(lexemes, AMONG, &target.chunks);
        // Others may be no worse where many are alike.
        best.len() == AMONG || best.contains(chunk_id)
    })
}

/// Drops the engine's indexes over the chunks, also such as are not valid.
fn drop_index(target: &Target) {
    let sql = statement!("catalog/lexical_indexes");
    let args = [target.generation.lexical.name().into(), target.generation.chunks.into()];
    let indexes = read(sql, &args, |row| relation_sql(required::<Oid>(&row, 1)));
    as_source_owner(target.collection.owner, || {
        for index in &indexes {
            execute(&fill("DROP INDEX {index}", &[("index", index)]), &[]);
        }
    });
}

fn note_checked(target: &Target) {
    let sql = statement!("catalog/lexical_checked");
    as_extension_owner(|| execute(sql, &[target.generation.id.into()]));
}
