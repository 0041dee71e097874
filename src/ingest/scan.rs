//! Scans that compare a source with its documents rows, in pages of keys.
use crate::catalog::collection::key::{self, KeyColumn, behind_sql};
use crate::catalog::target::Target;
use crate::ingest::pipeline::read;
use crate::sys::failed::Failed;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{column, fill, required};
use crate::sys::time_limit::{execute, query};
use crate::sys::transaction::Host;
use pgrx::datum::DatumWithOid;
use pgrx::spi::quote_identifier;
use rag::queue::failure::Failure;

/// Keys compared in one transaction, unless that exceeds the limit of one statement.
pub const PAGE: usize = 2_000;

/// Compares one page of `most` keys. False if no scan is under way, or another worker has locked it.
pub fn page(host: &Host, generation: i32, most: usize) -> Result<bool, Failed> {
    match try_page(host, generation, most) {
        Err(failed)
            if matches!(failed.class, Failure::Row | Failure::Configuration)
                && restart(host, generation)? =>
        {
            Ok(true)
        }
        compared => compared,
    }
}

/// Restarts a scan whose last key cannot be parsed by its type any more. Whether that is so.
fn restart(host: &Host, generation: i32) -> Result<bool, Failed> {
    let find = "SELECT after_key FROM rag.scan WHERE generation_id = $1 AND after_key IS NOT NULL";
    let after: Vec<String> = host.transaction(|| {
        Ok(as_extension_owner(|| query(find, &[generation.into()], |row| required(&row, 1))))
    })?;
    let parsed = host.transaction(|| {
        if let Some(target) = Target::load(generation)? {
            read::parse(&target, &after);
        }
        Ok(())
    });
    if after.is_empty() || parsed.is_ok() {
        return Ok(false);
    }
    host.transaction(|| {
        let anew = "UPDATE rag.scan SET side = 'source', after_key = NULL WHERE generation_id = $1 AND after_key = $2";
        as_extension_owner(|| execute(anew, &[generation.into(), after[0].as_str().into()]));
        Ok(())
    })?;
    Ok(true)
}

fn try_page(host: &Host, generation: i32, most: usize) -> Result<bool, Failed> {
    host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(false) };
        let Some((side, after)) = lock(generation) else { return Ok(false) };
        let is_source = side == "source";
        host.reached("scanning");
        let rows = as_source_owner(target.collection.owner, || {
            compare(&target, is_source, after.as_deref(), most)
        });
        let last = rows.last().map(|row| row.key.clone()).filter(|_| rows.len() == most);
        let (changed, rest): (Vec<ComparedRow>, Vec<ComparedRow>) =
            rows.into_iter().partition(|row| row.is_changed);
        let keys = |rows: Vec<ComparedRow>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
        let unmatched = keys(rest.into_iter().filter(|row| row.is_unmatched).collect());
        let found = [(unmatched, is_source), (keys(changed), false)];
        let next = match (&last, is_source) {
            (Some(_), _) => Some(side),
            (None, true) => Some("documents".to_owned()),
            (None, false) => None,
        };
        as_extension_owner(|| {
            for (keys, is_new) in found.into_iter().filter(|(keys, _)| !keys.is_empty()) {
                let jobs = statement!("ingest/scan_jobs");
                execute(jobs, &[generation.into(), keys.into(), is_new.into()]);
            }
            let advance = statement!("ingest/scan_next");
            execute(advance, &[generation.into(), next.into(), last.into()]);
        });
        host.reached("comparing");
        Ok(true)
    })
}

fn lock(generation: i32) -> Option<(String, Option<String>)> {
    as_extension_owner(|| {
        let sql = statement!("ingest/scan_lock");
        query(sql, &[generation.into()], |row| (required(&row, 1), column(&row, 2))).pop()
    })
}

struct ComparedRow {
    key: String,
    /// It exists on one side only.
    is_unmatched: bool,
    /// It exists on both sides, with different texts.
    is_changed: bool,
}

/// Columns of the source that a comparison reads, each once.
fn source_columns(target: &Target) -> String {
    let collection = &target.collection;
    let mut names = collection.source_columns();
    names.sort_unstable();
    names.dedup();
    let column = |name: &&str| format!("s.{}", quote_identifier(name));
    names.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn compare(target: &Target, is_source: bool, after: Option<&str>, most: usize) -> Vec<ComparedRow> {
    let keys = &target.collection.keys;
    let template = if is_source {
        statement!("ingest/scan_source")
    } else {
        statement!("ingest/scan_documents")
    };
    let each =
        |of: &dyn Fn(&KeyColumn) -> String| keys.iter().map(of).collect::<Vec<_>>().join(", ");
    let of_source = |key: &KeyColumn| format!("s.{}", key.name_sql());
    let of_documents = |key: &KeyColumn| format!("d.{}", key.stored_name());
    let text = |column: String| format!("pg_catalog.format('%s', {column})");
    let behind = match after {
        None => "true".to_owned(),
        Some(_) if is_source => behind_sql(keys, of_source),
        Some(_) => behind_sql(keys, of_documents),
    };
    let sql = fill(
        template,
        &[
            ("source_texts", &each(&|key| text(of_source(key)))),
            ("source_keys", &each(&of_source)),
            ("source_columns", &source_columns(target)),
            ("source_hash", &target.collection.source_hash("s")),
            ("document_texts", &each(&|key| text(of_documents(key)))),
            ("document_keys", &each(&of_documents)),
            ("source", &target.collection.source_sql),
            ("documents", &target.documents),
            ("after", &behind),
            ("equal", &target.collection.keys_equal("s", "d")),
            ("limit", &most.to_string()),
        ],
    );
    let after: Vec<String> = after.into_iter().map(str::to_owned).collect();
    let literals =
        if after.is_empty() { Vec::new() } else { key::array_literals(&after, keys.len()) };
    let args: Vec<DatumWithOid<'_>> = literals.into_iter().map(Into::into).collect();
    query(&sql, &args, |row| {
        let texts: Vec<String> = required(&row, 1);
        ComparedRow {
            key: key::encode(texts.iter().map(String::as_str)),
            is_unmatched: required(&row, 2),
            is_changed: required(&row, 3),
        }
    })
}
