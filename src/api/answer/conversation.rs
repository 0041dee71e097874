//! Questions that follow others, made to stand alone.
use crate::models::remote::Remote;
use crate::sys::interrupt;
use rag::Result;
use rag::remote::Generator;
use rag::search::conversation::{self, Turn};
use std::cell::RefCell;
use std::collections::VecDeque;

/// Rewritten questions that a session keeps, so that a question asked again calls no model.
const MAX_REWRITTEN: usize = 32;

/// What a rewritten question came from: the model's name and what it read.
type Key = (String, String, Vec<Turn>);

thread_local! {
    /// What each became, or the question itself where it stands alone. The one used last is the last.
    static REWRITTEN: RefCell<VecDeque<(Key, String)>> = const { RefCell::new(VecDeque::new()) };
}

/// The question as it stands alone, `None` when it does already: as a generator rewrites it, or by rules without one.
pub(super) fn standalone(
    question: &str,
    turns: &[Turn],
    generator: Option<&Remote>,
) -> Result<Option<String>> {
    let Some(client) = generator.filter(|_| !turns.is_empty()) else {
        return Ok(conversation::standalone(question, turns));
    };
    let key = (client.spec().name.clone(), question.to_owned(), turns.to_vec());
    if let Some(known) = known(&key) {
        return Ok((known != question).then_some(known));
    }
    let checkpoint = &mut interrupt::checkpoint;
    let rewritten = conversation::rewrite(&Generator(client), question, turns, checkpoint)?;
    REWRITTEN.with_borrow_mut(|kept| {
        if kept.len() >= MAX_REWRITTEN {
            kept.pop_front();
        }
        kept.push_back((key, rewritten.clone().unwrap_or_else(|| question.to_owned())));
    });
    Ok(rewritten)
}

fn known(key: &Key) -> Option<String> {
    REWRITTEN.with_borrow_mut(|kept| {
        let at = kept.iter().position(|(other, _)| other == key)?;
        let found = kept.remove(at)?;
        let rewritten = found.1.clone();
        kept.push_back(found);
        Some(rewritten)
    })
}
