//! Documents rows against chunks, and chunks against token bits.
use crate::catalog::target::Target;
use crate::maintain::verify::{Finding, QUEUED, as_owner};
use crate::sys::spi::{execute, fill, query, required};

/// A kind of problem: the statement that counts it, and the one that repairs it.
struct Check {
    problem: &'static str,
    count: &'static str,
    repair: &'static str,
    action: &'static str,
}

const CHUNKS: [Check; 2] = [
    Check {
        problem: "chunk without document",
        count: statement!("maintain/verify_count_strays"),
        repair: statement!("maintain/verify_delete_strays"),
        action: "deleted",
    },
    Check {
        problem: "chunk missing",
        count: statement!("maintain/verify_count_missing"),
        repair: statement!("maintain/verify_mend_documents"),
        action: QUEUED,
    },
];

const BITS: [Check; 2] = [
    Check {
        problem: "token bits without chunk",
        count: statement!("maintain/verify_count_stray_bits"),
        repair: statement!("maintain/verify_delete_stray_bits"),
        action: "deleted",
    },
    Check {
        problem: "token bits missing",
        count: statement!("maintain/verify_count_missing_bits"),
        repair: statement!("maintain/verify_forget_documents"),
        action: QUEUED,
    },
];

/// Every check in turn; each statement sees what the one before repaired.
pub fn verify(target: &Target, repairs: bool) -> Vec<Finding> {
    let bits = target.bits.as_ref().map(|_| BITS).into_iter().flatten();
    CHUNKS.into_iter().chain(bits).map(|check| check.run(target, repairs)).collect()
}

impl Check {
    fn run(&self, target: &Target, repairs: bool) -> Finding {
        let names = [
            ("documents", target.documents.as_str()),
            ("chunks", &target.chunks),
            ("bits", target.bits.as_deref().unwrap_or_default()),
        ];
        as_owner(target, || {
            let found = query(&fill(self.count, &names), &[], |row| required::<i64>(&row, 1))[0];
            if repairs && found > 0 {
                execute(&fill(self.repair, &names), &[]);
            }
            Finding::new(self.problem, found, repairs.then_some(self.action))
        })
    }
}
