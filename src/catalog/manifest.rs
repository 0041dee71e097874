//! Manifests of generations: written as comments on their tables of documents, and found again.
use crate::catalog::collection::Generation;
use crate::sys::names::relation;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{execute, fill, query, read, required};
use pgrx::pg_sys::Oid;
use pgrx::spi::quote_literal;
use rag::Result;
use rag::generation::manifest::Manifest;

/// Writes what is known of a generation beside its tables.
pub fn write(collection: &str, owner: Oid, generation: &Generation) {
    let Some(documents) = relation(generation.documents) else { return };
    let sql = statement!("catalog/manifest");
    let manifest = as_extension_owner(|| {
        query(sql, &[generation.id.into()], |row| required::<String>(&row, 1))
    });
    for manifest in manifest {
        let comment = quote_literal(Manifest::comment(collection, &manifest));
        let names = [("documents", documents.as_str()), ("comment", &comment)];
        let sql = fill("COMMENT ON TABLE {documents} IS {comment}", &names);
        as_source_owner(owner, || execute(&sql, &[]));
    }
}

row! {
    struct FoundRow { oid: Oid, owner: Oid, comment: String, is_viewed: bool }
}

/// Tables of documents that the catalog does not know, and what they say of themselves.
pub struct Found {
    pub documents: Oid,
    pub owner: Oid,
    pub manifest: Manifest,
    /// Whether a view reads them, as one does those of the generation that was searched.
    pub is_viewed: bool,
}

/// Those of a collection that the caller may act for, or one table. A comment that cannot be used is an error for the
/// table that was named, and passed over elsewhere.
pub fn find(collection: &str, documents: Option<Oid>) -> Result<Vec<Found>> {
    let sql = statement!("catalog/find_manifests");
    let mut all = Vec::new();
    for row in read(sql, &[documents.into()], |row| FoundRow::read(&row)) {
        let FoundRow { oid, owner, comment, is_viewed } = row;
        match Manifest::of_comment(&comment) {
            Ok(Some(manifest)) if documents.is_some() || manifest.collection == collection => {
                all.push(Found { documents: oid, owner, manifest, is_viewed });
            }
            Err(error) if documents.is_some() => return Err(error),
            _ => {}
        }
    }
    Ok(all)
}
