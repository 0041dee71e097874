//! Comparison of a source with its documents, page by page of keys.
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

/// Keys compared in one transaction, where these take no longer than one statement may.
pub const PAGE: usize = 2_000;

/// Compares one page of `most` keys. False when there is nothing to compare or another worker is at it.
pub fn page(host: &Host, generation: i32, most: usize) -> Result<bool, Failed> {
    let compared = try_page(host, generation, most);
    match compared {
        Err(failed)
            if matches!(failed.class, Failure::Row | Failure::Configuration)
                && begin_anew(host, generation)? =>
        {
            Ok(true)
        }
        compared => compared,
    }
}

/// Begins a comparison anew that has come as far as a key which is no text of its type any more. Whether that is so.
fn begin_anew(host: &Host, generation: i32) -> Result<bool, Failed> {
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
        let (changed, rest): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.is_changed);
        let keys = |rows: Vec<Row>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
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

struct Row {
    key: String,
    /// It stands on one side only.
    is_unmatched: bool,
    /// It stands on both, with another text.
    is_changed: bool,
}

/// Columns of the source that a comparison needs, each once.
fn source_columns(target: &Target) -> String {
    let collection = &target.collection;
    let mut names: Vec<&String> = collection.keys.iter().map(|key| &key.name).collect();
    names.push(&collection.content);
    names.extend(&collection.title);
    names.sort();
    names.dedup();
    let column = |name: &&String| format!("s.{}", quote_identifier(name));
    names.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn compare(target: &Target, is_source: bool, after: Option<&str>, most: usize) -> Vec<Row> {
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
            ("title", &target.collection.title_text("s")),
            ("content", &target.collection.content_sql()),
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
        Row {
            key: key::encode(texts.iter().map(String::as_str)),
            is_unmatched: required(&row, 2),
            is_changed: required(&row, 3),
        }
    })
}
