//! Says that searches do not find all of a collection yet, while its first load is not in.
use crate::catalog::collection::{Collection, Generation};
use crate::sys::plan;
use crate::sys::privileges::row_security_applies;
use crate::sys::rights::as_extension_owner;
use crate::sys::rows::row;
use crate::sys::spi::{fill, read};
use crate::sys::statement::is_news;

/// Rows of a source that are counted; beyond, what PostgreSQL estimates is good enough.
const MOST_COUNTED: i64 = 1_000;

/// Documents of a first load that searches cannot find yet.
pub struct Loading {
    collection: String,
    /// Those that searches find, and all; `None` where the caller may not know how many there are.
    counts: Option<(i64, Total)>,
    /// What servers of a distributed collection say instead.
    told: Option<String>,
}

/// Documents of a collection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Total {
    Exactly(i64),
    About(i64),
    MoreThan(i64),
}

row! {
    /// A row of `sql/run/search/loading.sql`.
    struct LoadRow {
        /// Documents that have chunks.
        indexed: i64,
        /// Documents without chunks yet.
        pending: i64,
        /// There are changes that are no jobs yet.
        has_changes: bool,
    }
}

row! {
    /// A row of `sql/run/search/source_rows.sql`.
    struct SourceRows {
        rows: i64,
        estimate: f64,
    }
}

impl Loading {
    /// `None` once the first load is in, also where nothing but its vector index is missing.
    pub fn of(collection: &Collection, generation: &Generation) -> Option<Self> {
        if generation.is_loaded {
            return None;
        }
        let sql = statement!("search/loading");
        let args = [generation.id.into(), collection.id.into()];
        let queue = as_extension_owner(|| plan::read(sql, &args, LoadRow::read)).pop()?;
        if queue.pending <= 0 && !queue.has_changes {
            return None;
        }
        let name = collection.name.clone();
        if row_security_applies(collection.source) {
            return Some(Self { collection: name, counts: None, told: None });
        }
        let known = queue.indexed + queue.pending.max(0);
        let total = if queue.has_changes {
            total(collection).at_least(known)
        } else {
            Total::Exactly(known)
        };
        if total == Total::Exactly(queue.indexed) {
            return None; // An empty source, or one that was compared again.
        }
        Some(Self { collection: name, counts: Some((queue.indexed, total)), told: None })
    }

    /// What servers of a distributed collection say.
    pub fn told(collection: &str, told: String) -> Self {
        Self { collection: collection.to_owned(), counts: None, told: Some(told) }
    }

    /// The text of the message.
    pub fn message(&self) -> String {
        if let Some(told) = &self.told {
            return told.clone();
        }
        let name = &self.collection;
        let Some((found, total)) = self.counts else {
            return format!(
                "some documents of collection \"{name}\" wait: its first load is not in"
            );
        };
        let (total, waiting) = match total {
            Total::Exactly(n) => (n.to_string(), (n - found).to_string()),
            Total::About(n) => (format!("about {n}"), format!("about {}", n - found)),
            Total::MoreThan(n) => (format!("more than {n}"), "the others".to_owned()),
        };
        format!(
            "{found} of {total} documents of collection \"{name}\" are searchable, {waiting} wait: its first load is not in"
        )
    }

    /// Sends it as a NOTICE.
    pub fn announce(&self) {
        use pgrx::pg_sys::panic::ErrorReport;
        use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
        if !is_news(&format!("loading {}", self.collection)) {
            return;
        }
        let code = PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
        ErrorReport::new(code, self.message(), function_name!())
            .set_hint("rag.status shows how far it is. Without workers, CALL rag_work() goes on.")
            .report(PgLogLevel::NOTICE);
    }
}

/// How many rows a source has, as seen by a caller to whom no policy applies.
fn total(collection: &Collection) -> Total {
    let most = (MOST_COUNTED + 1).to_string();
    let names = [("source", collection.source_sql.as_str()), ("most", &most)];
    let sql = fill(statement!("search/source_rows"), &names);
    let counted = read(&sql, &[collection.source.into()], |row| SourceRows::read(&row)).pop();
    match counted {
        Some(SourceRows { rows, .. }) if rows <= MOST_COUNTED => Total::Exactly(rows),
        Some(SourceRows { estimate, .. }) if estimate > MOST_COUNTED as f64 => {
            Total::About(estimate as i64)
        }
        _ => Total::MoreThan(MOST_COUNTED),
    }
}

impl Total {
    /// The same, but at least what is known.
    fn at_least(self, known: i64) -> Self {
        match self {
            Self::Exactly(n) => Self::Exactly(n.max(known)),
            Self::About(n) => Self::About(n.max(known)),
            Self::MoreThan(n) => Self::MoreThan(n.max(known)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Loading, Total};

    #[test]
    fn counts_are_said_as_they_are_known() {
        let said = |counts| Loading { collection: "docs".to_owned(), counts, told: None }.message();
        for (counts, expected) in [
            (
                Some((0, Total::Exactly(500))),
                "0 of 500 documents of collection \"docs\" are searchable, 500 wait: its first load is not in",
            ),
            (
                Some((20, Total::About(1_500).at_least(7))),
                "20 of about 1500 documents of collection \"docs\" are searchable, about 1480 wait: its first load is not in",
            ),
            (
                Some((7, Total::MoreThan(1_000).at_least(2_000))),
                "7 of more than 2000 documents of collection \"docs\" are searchable, the others wait: its first load is not in",
            ),
            (None, "some documents of collection \"docs\" wait: its first load is not in"),
        ] {
            assert_eq!(said(counts), expected);
        }
    }
}
