//! What a statement has embedded already.
use crate::sys::statement;
use pgrx::pg_sys;
use rag::Result;
use rag::model::Purpose;
use std::cell::RefCell;

/// A statement that embeds more different texts than this gains nothing from remembering them.
const MAX_ENTRIES: usize = 16;

/// Longer texts are not worth the memory.
const MAX_TEXT_BYTES: usize = 8 * 1024;

struct Memo {
    statement: pg_sys::TimestampTz,
    known: Vec<MemoEntry>,
}

struct MemoEntry {
    fingerprint: String,
    purpose: Purpose,
    content: String,
    vector: Vec<f32>,
}

thread_local! {
    static MEMO: RefCell<Memo> = const { RefCell::new(Memo { statement: 0, known: Vec::new() }) };
}

/// The vector of `content`, from `compute` unless this statement has asked for it before.
pub fn once_per_statement(
    fingerprint: &str,
    purpose: Purpose,
    content: &str,
    compute: impl FnOnce() -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    if content.len() > MAX_TEXT_BYTES {
        return compute();
    }
    let statement = statement::current();
    let known = MEMO.with_borrow_mut(|memo| {
        if memo.statement != statement {
            memo.statement = statement;
            memo.known.clear();
        }
        let fits = |k: &&MemoEntry| {
            k.content == content && k.purpose == purpose && k.fingerprint == fingerprint
        };
        memo.known.iter().find(fits).map(|k| k.vector.clone())
    });
    if let Some(vector) = known {
        return Ok(vector);
    }
    let vector = compute()?;
    MEMO.with_borrow_mut(|memo| {
        if memo.known.len() == MAX_ENTRIES {
            memo.known.remove(0);
        }
        let (fingerprint, content) = (fingerprint.to_owned(), content.to_owned());
        memo.known.push(MemoEntry { fingerprint, purpose, content, vector: vector.clone() });
    });
    Ok(vector)
}
