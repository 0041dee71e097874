//! `rag_document()`: the text that was extracted of a file, as its chunks are pieces of it.
use crate::catalog::collection::Collection;
use crate::catalog::collection::key::{KeyColumn, array_literals, encode, keys_sql};
use crate::catalog::distributed::{Distributed, Part};
use crate::search::distributed::require_rights;
use crate::search::resolve::{Resolved, resolve};
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::rights::as_source_owner;
use crate::sys::rows::row;
use crate::sys::spi::{fill, read, read_as_caller, required};
use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use rag::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

row! {
    struct DocumentRow { content: Option<String>, metadata: Option<JsonB>, parts: Option<JsonB> }
}

/// The same as a server sends it.
#[derive(Deserialize)]
struct RemoteDocument {
    content: Option<String>,
    pages: Option<i32>,
    metadata: Option<Value>,
    parts: Option<Value>,
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_document(collection text, document_key jsonb)
    RETURNS TABLE (content text, pages int, metadata jsonb, parts jsonb)
    STRICT STABLE PARALLEL RESTRICTED ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_document IS 'the text of a file of a collection, what is known of it, and where its pages begin';
", requires = ["catalog"])]
#[allow(clippy::needless_pass_by_value, clippy::type_complexity)] // an argument of SQL's; the shape of a result set
fn rag_document(
    collection: &str,
    document_key: JsonText,
) -> Result<
    TableIterator<
        'static,
        (
            name!(content, Option<String>),
            name!(pages, Option<i32>),
            name!(metadata, Option<JsonB>),
            name!(parts, Option<JsonB>),
        ),
    >,
    SqlError,
> {
    if let Some(distributed) = Distributed::find(collection)? {
        require_rights(&distributed)?;
        let key = [("document_key", document_key.parse()?.to_string())];
        let rows = distributed.rows::<RemoteDocument>("rag_document", &key)?.into_iter();
        let jsonb = |value: Option<Value>| value.map(JsonB);
        let row = |(_, row): (Part, RemoteDocument)| {
            (row.content, row.pages, jsonb(row.metadata), jsonb(row.parts))
        };
        return Ok(TableIterator::new(rows.map(row).collect::<Vec<_>>()));
    }
    let resolved = resolve(collection, |_| ())?;
    if !resolved.collection.is_of_files() {
        return Err(Error::wrong_object(format!("collection \"{collection}\" holds no files"))
            .with_hint("The text of its documents is in the source.")
            .into());
    }
    let key = key_of(&resolved.collection, &document_key.parse()?)?;
    let rows = find(&resolved, &key);
    let row = |row: DocumentRow| {
        let pages = row.metadata.as_ref().and_then(|JsonB(metadata)| metadata.get("pages"));
        let pages = pages.and_then(Value::as_i64).and_then(|pages| i32::try_from(pages).ok());
        (row.content, pages, row.metadata, row.parts)
    };
    Ok(TableIterator::new(rows.into_iter().map(row).collect::<Vec<_>>()))
}

/// A key as it is stored, from the form in which searches show it, or an array of its columns.
fn key_of(collection: &Collection, shown: &Value) -> Result<String> {
    let columns = &collection.keys;
    let value = |(position, column): (usize, &KeyColumn)| match shown {
        Value::Object(values) if values.len() == columns.len() => values.get(&column.name),
        Value::Array(values) if values.len() == columns.len() => values.get(position),
        _ => None,
    };
    let values: Option<Vec<&Value>> = columns.iter().enumerate().map(value).collect();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let texts: Vec<String> = values
        .ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            Error::invalid_argument("the document key is not one of the collection's")
                .with_hint(format!("Give an object with: {}.", names.join(", ")))
        })?
        .into_iter()
        .map(text)
        .collect();
    Ok(encode(texts.iter().map(String::as_str)))
}

/// The row is found by its key as the owner, whose types read the key, and read with the caller's rights.
fn find(resolved: &Resolved, key: &str) -> Vec<DocumentRow> {
    let Resolved { collection, tables, .. } = resolved;
    let equal = |key: &KeyColumn| {
        let name = key.stored_name();
        key.equal(&format!("d.{name}"), &format!("k.{name}"))
    };
    let equal: Vec<String> = collection.keys.iter().map(equal).collect();
    let names = [
        ("keys", keys_sql(&collection.keys)),
        ("documents", tables.documents.clone()),
        ("document_equal", equal.join(" AND ")),
        ("visible", collection.source_visible("d")),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    let literals = array_literals(&[key.to_owned()], collection.keys.len());
    let args: Vec<DatumWithOid<'_>> = literals.into_iter().map(Into::into).collect();
    let place = as_source_owner(collection.owner, || {
        let sql = fill(statement!("api/document_row"), &names);
        read(&sql, &args, |row| required::<String>(&row, 1))
    });
    let sql = fill(statement!("api/document"), &names);
    let rows = place
        .into_iter()
        .map(|place| read_as_caller(&sql, &[place.into()], |row| DocumentRow::read(&row)));
    rows.flatten().collect()
}
