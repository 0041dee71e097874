//! The counters behind `rag.status`.
use crate::catalog::target::Target;
use crate::maintain::verify::{Finding, as_owner};
use crate::sys::cursor::Snapshot;
use crate::sys::plan;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, fill, required};
use pgrx::spi::SpiHeapTupleData;

fn pair(row: &SpiHeapTupleData<'_>) -> (i64, i64) {
    (required(row, 1), required(row, 2))
}

/// Compares the counters with a count. Workers change the counters meanwhile, so a wrong one is corrected by adding the
/// difference.
pub fn verify(target: &Target, repairs: bool) -> Finding {
    let found = stored(target, repairs) + waiting(target, repairs);
    Finding::new("counter wrong", found, repairs.then_some("corrected"))
}

/// Counters of documents and chunks that are wrong.
fn stored(target: &Target, repairs: bool) -> i64 {
    let generation = target.generation.id;
    let names = [("documents", target.documents.as_str()), ("chunks", &target.chunks)];
    let count = fill(statement!("maintain/verify_count"), &names);
    let counters = statement!("maintain/verify_counters");
    let ((documents, chunks), known) = {
        let _snapshot = Snapshot::take();
        let counted = as_owner(target, || plan::read(&count, &[], pair)[0]);
        let known = as_extension_owner(|| plan::read(counters, &[generation.into()], pair));
        (counted, known.first().copied())
    };
    let (indexed, stored) = known.unwrap_or_default();
    let lacks = (documents - indexed, chunks - stored);
    let found = i64::from(known.is_none()) + i64::from(lacks.0 != 0) + i64::from(lacks.1 != 0);
    if repairs && found > 0 {
        let sql = statement!("maintain/verify_count_up");
        let args = [generation.into(), lacks.0.into(), lacks.1.into()];
        as_extension_owner(|| execute(sql, &args));
    }
    found
}

/// Counters of jobs that are wrong.
fn waiting(target: &Target, repairs: bool) -> i64 {
    let generation = target.generation.id;
    let sql = statement!("maintain/verify_job_count");
    let triple = |row: &SpiHeapTupleData<'_>| -> [i64; 3] {
        [required(row, 1), required(row, 2), required(row, 3)]
    };
    let lacks = as_extension_owner(|| plan::read(sql, &[generation.into()], triple)[0]);
    if repairs && lacks != [0; 3] {
        let sql = statement!("ingest/job_count_add");
        let args = [generation.into(), lacks[0].into(), lacks[1].into(), lacks[2].into()];
        as_extension_owner(|| execute(sql, &args));
    }
    lacks.iter().filter(|lack| **lack != 0).count() as i64
}
