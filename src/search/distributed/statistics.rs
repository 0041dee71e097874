//! Term statistics of all parts, kept for some seconds: they change slowly, and a search without the round for them waits once less.
use crate::search::distributed::Search;
use crate::search::loading::Loading;
use crate::sys::foreign::changes;
use pgrx::pg_sys::Oid;
use rag::Result;
use rag::search::calibration::Calibration;
use rag::search::shard::{Asked, PartStatistics, Statistics, Step};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long statistics are taken for fresh.
const FRESH: Duration = Duration::from_secs(5);
/// Most that a session keeps.
const MAX_KEPT: usize = 512;

thread_local! {
    static KEPT: RefCell<HashMap<Key, (Instant, PartStatistics)>> = RefCell::default();
}

/// Part, user mapping, since how many changes of mappings, and what is asked for.
type Key = (Oid, Oid, u64, String);

/// What is known of the whole.
pub struct Known {
    pub statistics: Statistics,
    pub calibration: Calibration,
    /// What is not searchable yet.
    pub loading: Option<String>,
}

impl Known {
    pub fn loading(&self, collection: &str) -> Option<Loading> {
        self.loading.clone().map(|told| Loading::told(collection, told))
    }
}

impl Search<'_> {
    /// Statistics of all parts, asked for where they are not fresh.
    pub fn statistics(&self) -> Result<Known> {
        let asked = Asked { dense_weight: 0.0, rerank: false, ..self.asked.clone() };
        let text = serde_json::to_string(&asked).expect("a request is JSON");
        let key = |position: usize| {
            let part = &self.parts[position];
            // Counting here is no round.
            let server = part.server.as_ref()?;
            Some((part.leaf, server.mapping, changes(), text.clone()))
        };
        let mut all: Vec<Option<PartStatistics>> =
            (0..self.parts.len()).map(|position| fresh(&key(position)?)).collect();
        let missing: Vec<usize> = (0..all.len()).filter(|n| all[*n].is_none()).collect();
        if !missing.is_empty() {
            let steps = missing.into_iter().map(|n| (n, Step::Statistics(asked.clone()))).collect();
            for (position, answer) in self.ask::<PartStatistics>(steps, &[])? {
                if let Some(key) = key(position) {
                    keep(key, &answer);
                }
                all[position] = Some(answer);
            }
        }
        let known: Vec<PartStatistics> = all.into_iter().flatten().collect();
        let mut statistics = Statistics {
            frequencies: vec![0.0; self.asked.lexemes.len()],
            ..Statistics::default()
        };
        for part in &known {
            statistics.add(&part.statistics);
        }
        let parts: Vec<(f64, &Calibration)> =
            known.iter().map(|part| (part.statistics.chunks, &part.calibration)).collect();
        let loading: Vec<&str> = known.iter().filter_map(|part| part.loading.as_deref()).collect();
        Ok(Known {
            statistics,
            calibration: Calibration::of_parts(&parts),
            loading: (!loading.is_empty()).then(|| loading.join("; ")),
        })
    }
}

fn fresh(key: &Key) -> Option<PartStatistics> {
    KEPT.with_borrow(|kept| {
        let (since, known) = kept.get(key)?;
        (since.elapsed() < FRESH && known.loading.is_none()).then(|| known.clone())
    })
}

fn keep(key: Key, known: &PartStatistics) {
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (since, _)| since.elapsed() < FRESH);
        }
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, (Instant::now(), known.clone()));
    });
}
