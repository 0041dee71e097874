//! Documents rows against chunks, and chunks against token bits.
use crate::catalog::target::Target;
use crate::ingest::inverted::Segments;
use crate::maintain::verify::{Finding, QUEUED, as_owner};
use crate::sys::interrupt::checkpoint;
use crate::sys::spi::{execute, fill, read_written, required};
use rag::Result;

/// A kind of problem: the statement that counts it, and the one that repairs it.
struct Check {
    problem: &'static str,
    count: &'static str,
    repair: &'static str,
    /// Whether the repair deletes chunks, some at a time.
    deletes_chunks: bool,
    action: &'static str,
}

const CHUNKS: [Check; 2] = [
    Check {
        problem: "chunk without document",
        count: statement!("maintain/verify_count_strays"),
        repair: statement!("maintain/verify_delete_strays"),
        deletes_chunks: true,
        action: "deleted",
    },
    Check {
        problem: "chunk missing",
        count: statement!("maintain/verify_count_missing"),
        repair: statement!("maintain/verify_mend_documents"),
        deletes_chunks: false,
        action: QUEUED,
    },
];

const BITS: [Check; 2] = [
    Check {
        problem: "token bits without chunk",
        count: statement!("maintain/verify_count_stray_bits"),
        repair: statement!("maintain/verify_delete_stray_bits"),
        deletes_chunks: false,
        action: "deleted",
    },
    Check {
        problem: "token bits missing",
        count: statement!("maintain/verify_count_missing_bits"),
        repair: statement!("maintain/verify_forget_documents"),
        deletes_chunks: false,
        action: QUEUED,
    },
];

/// Every check in turn; each statement sees what the one before repaired.
pub fn verify(target: &Target, repairs: bool) -> Result<Vec<Finding>> {
    let bits = target.bits.as_ref().map(|_| BITS).into_iter().flatten();
    CHUNKS.into_iter().chain(bits).map(|check| check.run(target, repairs)).collect()
}

impl Check {
    fn run(&self, target: &Target, repairs: bool) -> Result<Finding> {
        let names = [
            ("documents", target.documents.as_str()),
            ("chunks", &target.chunks),
            ("bits", target.bits.as_deref().unwrap_or_default()),
            ("file_set", ", places = m.places"),
            ("file_kept", ", p.places"),
            (
                "file_places",
                ", pg_catalog.jsonb_agg(b.places -> (n.position - 1)::int ORDER BY n.position) AS places",
            ),
        ];
        let is_of_files = target.collection.is_of_files();
        let names = names.map(|(name, sql)| {
            (name, if name.starts_with("file_") && !is_of_files { "" } else { sql })
        });
        as_owner(target, || {
            let count = fill(self.count, &names);
            let found = read_written(repairs, &count, &[], |row| required::<i64>(&row, 1))[0];
            if repairs && found > 0 {
                let sql = fill(self.repair, &names);
                if self.deletes_chunks {
                    delete_chunks(target, &sql)?;
                } else {
                    execute(&sql, &[]);
                }
            }
            Ok(Finding::new(self.problem, found, repairs.then_some(self.action)))
        })
    }
}

/// Runs a statement that deletes some chunks until there are no more of them.
fn delete_chunks(target: &Target, sql: &str) -> Result<()> {
    loop {
        checkpoint()?;
        let mut segments = Segments::default();
        if segments.delete(sql, &[]) == 0 {
            return Ok(());
        }
        segments.write(target)?;
    }
}
