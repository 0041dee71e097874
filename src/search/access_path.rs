//! How a plan reads chunks, by the names of indexes and tables.
use crate::sys::plan::scans::Scan;
use crate::sys::rows::row;
use crate::sys::spi::read;
use pgrx::pg_sys::Oid;
use std::fmt;

row! {
    /// A row of `sql/run/search/explain_relation.sql`.
    struct RelationRow {
        /// Quoted.
        name: String,
        /// Access method of an index.
        method: Option<String>,
    }
}

/// How chunks are read, by name.
pub enum AccessPath {
    /// An index of a method.
    Index {
        method: String,
        name: String,
    },
    SeqScan(String),
}

impl AccessPath {
    /// Names what scans read.
    pub fn of(scans: &[Scan]) -> Vec<Self> {
        let path = |scan: &Scan| {
            let (Scan::Index(relation) | Scan::Table(relation)) = *scan;
            Some(match (scan, described(relation)?) {
                (Scan::Index(_), RelationRow { name, method: Some(method) }) => {
                    Self::Index { method, name }
                }
                (_, RelationRow { name, .. }) => Self::SeqScan(name),
            })
        };
        scans.iter().filter_map(path).collect()
    }

    /// Whether it is an approximate index, which may miss chunks.
    pub fn is_vector_index(&self) -> bool {
        matches!(self, Self::Index { method, .. } if method == "hnsw" || method == "ivfflat")
    }
}

impl fmt::Display for AccessPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { method, name } => write!(f, "{method} index {name}"),
            Self::SeqScan(name) => write!(f, "sequential scan of {name}"),
        }
    }
}

/// Name of a relation, quoted.
pub fn name_of(relation: Oid) -> Option<String> {
    described(relation).map(|relation| relation.name)
}

fn described(relation: Oid) -> Option<RelationRow> {
    let sql = statement!("search/explain_relation");
    read(sql, &[relation.into()], |row| RelationRow::read(&row)).pop()
}

/// Access paths as a text; `None` for none.
pub fn joined(paths: &[AccessPath]) -> Option<String> {
    let names: Vec<String> = paths.iter().map(AccessPath::to_string).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}
