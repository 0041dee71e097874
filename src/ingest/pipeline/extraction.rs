//! Tells how far the extraction of a file is that takes long: in `pg_stat_activity` and `rag.extraction`.
use crate::sys::failed::Failed;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::transaction::Host;
use std::time::{Duration, Instant};

/// How long a file may take before anything is told, and how often it is told then.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The progress of one file.
pub struct ExtractionProgress<'a> {
    host: &'a Host,
    collection: &'a str,
    token: i64,
    told: Instant,
}

impl<'a> ExtractionProgress<'a> {
    /// Of the file of the job with this token, from now on.
    pub fn new(host: &'a Host, collection: &'a str, token: i64) -> Self {
        host.show(Some(&format!("rag_pg: extracting a file of \"{collection}\"")));
        Self { host, collection, token, told: Instant::now() }
    }

    /// Tells the pages so far, and how many there are where that is known.
    pub fn tell(&mut self, pages: usize, of: Option<u32>) -> Result<(), Failed> {
        if self.told.elapsed() < TELL_EVERY {
            return Ok(());
        }
        self.told = Instant::now();
        let name = self.collection;
        let all = of.map(|of| format!(" of {of}")).unwrap_or_default();
        self.host
            .show(Some(&format!("rag_pg: extracting a file of \"{name}\", page {pages}{all}")));
        self.host.transaction(|| {
            let args = [
                self.token.into(),
                i32::try_from(pages).unwrap_or(i32::MAX).into(),
                of.and_then(|of| i32::try_from(of).ok()).into(),
            ];
            as_extension_owner(|| execute(statement!("ingest/extracting"), &args));
            Ok(())
        })
    }
}
