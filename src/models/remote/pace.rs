//! Limits of remote models, kept together by all processes of the server where the library is preloaded,
//! and by each for itself where it is not.
#![allow(unsafe_code)] // shared memory

use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use rag::remote::{Pace, Source, Spec};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Accounts with providers that are kept together; those beyond are kept by each process.
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
    /// Where there is no shared memory. Never freed: there are as many as this process used models.
    static OWN: RefCell<HashMap<u64, &'static Pace>> = RefCell::default();
}

/// Reserves shared memory while the library is preloaded, and begins the clock that all share.
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

/// What a provider counts together: a model called with a key, from whatever database, under whatever name.
fn account(spec: &Spec) -> u64 {
    let key = spec.credential.as_ref().map(|credential| match &credential.source {
        Source::File(path) => path.display().to_string(),
        Source::Environment(name) => name.clone(),
    });
    let mut hasher = DefaultHasher::new();
    (&spec.provider, spec.url.to_string(), &spec.model, key).hash(&mut hasher);
    hasher.finish().max(1)
}
