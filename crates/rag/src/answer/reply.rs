//! What a model wrote: its claims, wherever they stand between words and thoughts.
use super::claims::{self, Reading};
use super::lenient;

/// How replies open and close what the model thinks to itself.
const THOUGHTS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis", "<|channel|>final"),
];
/// Most bytes before the first bracket of a reply that is shown while it is written. What comes later may yet turn out to
/// be a thought: some servers leave out the tag that opens it.
const MAX_PREFACE_BYTES: usize = 80;

/// Reads a reply. `is_over`: nothing follows; otherwise what may become part of something else is left out.
pub(super) fn read(reply: &str, is_over: bool) -> Reading {
    let Some(reply) = without_open_thought(reply, is_over) else { return Reading::default() };
    let mut found = claims::Found::default();
    let mut at = 0;
    let mut thought = Thought::next(reply, 0);
    while found.claims.len() < claims::MAX_ITEMS {
        if thought.as_ref().is_some_and(|thought| thought.start < at) {
            thought = Thought::next(reply, at);
        }
        let bracket = reply[at..].find(['{', '[']).map(|bracket| at + bracket);
        if let Some(thought) =
            thought.as_ref().filter(|one| bracket.is_none_or(|at| one.start <= at))
        {
            at = thought.end(reply);
            continue;
        }
        let Some(start) = bracket else { break };
        at = start;
        let Some(read) = lenient::read(&reply[at..]) else {
            at += 1;
            continue;
        };
        let has_form = found.add(&read.value, is_over);
        if read.is_cut && !is_over {
            break;
        }
        // A bracket of prose that is never closed may stand before the answer.
        at += if has_form || !read.is_cut { read.end.max(1) } else { 1 };
    }
    found.end()
}

/// The reply behind a thought that was closed without having been opened; `None` where it may be one.
fn without_open_thought(reply: &str, is_over: bool) -> Option<&str> {
    let first = reply.find(['{', '[']).unwrap_or(reply.len());
    if first <= MAX_PREFACE_BYTES
        || Thought::next(&reply[..reply.floor_char_boundary(first + "[think]".len())], 0).is_some()
    {
        return Some(reply);
    }
    if !is_over {
        return None;
    }
    let close = |(open, close): &(&str, &str)| {
        let end = find(reply, close)? + close.len();
        (find(&reply[..end], open).is_none()).then_some(end)
    };
    let end = THOUGHTS.iter().filter_map(close).max().unwrap_or(0);
    Some(&reply[end..])
}

/// A thought in a reply.
struct Thought {
    start: usize,
    tags: &'static (&'static str, &'static str),
}

impl Thought {
    /// The first from `at` on.
    fn next(reply: &str, at: usize) -> Option<Self> {
        let begins = |start: usize, tag: &str| {
            let part = reply.as_bytes()[start..].get(..tag.len());
            part.is_some_and(|part| part.eq_ignore_ascii_case(tag.as_bytes()))
        };
        let starts = reply[at..].match_indices(['<', '[']).map(|(start, _)| at + start);
        let tags = |start: usize| THOUGHTS.iter().find(|(open, _)| begins(start, open));
        { starts }.find_map(|start| tags(start).map(|tags| Self { start, tags }))
    }

    /// Behind the tag that closes it, or the end of the reply.
    fn end(&self, reply: &str) -> usize {
        let (open, close) = self.tags;
        let inside = self.start + open.len();
        find(&reply[inside..], close).map_or(reply.len(), |at| inside + at + close.len())
    }
}

/// Where an ASCII `tag` stands in `text`, in capital letters or small ones.
fn find(text: &str, tag: &str) -> Option<usize> {
    let first = tag.as_bytes()[0];
    let is_tag = |at: &usize| {
        text.as_bytes()[*at..]
            .get(..tag.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(tag.as_bytes()))
    };
    let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == first).map(|(at, _)| at);
    { starts }.find(is_tag)
}

#[cfg(test)]
mod tests;
