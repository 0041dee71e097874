//! Rate limits of remote models: shared by all processes where the library is preloaded, else per process.
#![allow(unsafe_code)] // shared memory

use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use rag::remote::{KeySource, Pace, Spec};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Accounts in shared memory; the rate limits of further ones are per process.
const ACCOUNTS: usize = 256;

static PACES: PgAtomic<Paces> =
    // SAFETY: the name is this library's alone.
    unsafe { PgAtomic::new(c"rag_pg paces") };

static IS_SHARED: AtomicBool = AtomicBool::new(false);

struct Paces([AccountPace; ACCOUNTS]);

#[derive(Default)]
struct AccountPace {
    /// Hash of the account; 0 for none.
    account: AtomicU64,
    pace: Pace,
}

// SAFETY: nothing but atomics, which mean the same in every process.
unsafe impl PGRXSharedMemory for Paces {}

impl Default for Paces {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AccountPace::default()))
    }
}

thread_local! {
    /// Without shared memory. Never freed: one for each model that this process used.
    static OWN: RefCell<HashMap<u64, &'static Pace>> = RefCell::default();
}

/// Reserves shared memory while the library is preloaded, and starts the clock that all processes share.
pub fn init() {
    rag::remote::now();
    if crate::sys::process::is_preloading() {
        pg_shmem_init!(PACES);
        IS_SHARED.store(true, Relaxed);
    }
}

/// The pace of a model.
pub fn of(spec: &Spec) -> &'static Pace {
    let account = account(spec);
    shared(account).unwrap_or_else(|| {
        OWN.with_borrow_mut(|own| *own.entry(account).or_insert_with(|| Box::leak(Box::default())))
    })
}

fn shared(account: u64) -> Option<&'static Pace> {
    if !IS_SHARED.load(Relaxed) {
        return None;
    }
    let is_it = |entry: &&AccountPace| {
        let taken = entry.account.compare_exchange(0, account, Relaxed, Relaxed);
        taken.map_or_else(|now| now == account, |_| true)
    };
    PACES.get().0.iter().find(is_it).map(|entry| &entry.pace)
}

/// Identifies what a provider limits as one: a model called with a key, in any database, by any name.
fn account(spec: &Spec) -> u64 {
    let key = spec.credential.as_ref().map(|credential| match &credential.source {
        KeySource::File(path) => path.display().to_string(),
        KeySource::Environment(name) => name.clone(),
    });
    let mut hasher = DefaultHasher::new();
    (&spec.provider, spec.url.to_string(), &spec.model, key).hash(&mut hasher);
    hasher.finish().max(1)
}
