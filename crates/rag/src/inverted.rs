//! An inverted file: for each lexeme the chunks that hold it, how often, and the best of them by BM25.
//!
//! A segment holds the posting lists of some chunks, and is never changed. Small ones lie in one value ([`Inline`]), larger ones in rows
//! ([`Lists`]); [`merge()`] makes one of several. A segment of deletions lists chunks that were deleted: [`Index`] subtracts them.
//! The bytes are in docs/formats.md.
mod block;
mod build;
mod bytes;
mod group;
mod impact;
mod list;
mod merge;
mod scan;
mod search;
mod top_k;
pub mod upkeep;

pub use build::{Builder, RowSink, Sink};
pub use group::{Inline, Reader, Source};
pub use merge::{Merged, Totals, merge};
pub use scan::Work;
pub use search::{Index, Segment, Statistics, Terms};
pub use top_k::{Found, Scored, TopK};

use crate::{Error, Result};
use std::borrow::Cow;

/// The lexeme that every chunk of a segment is listed under, once each, with its length. `tsvector` has no empty lexeme.
pub const EVERY: &str = "";

/// Called now and then while much is read; an error ends the work.
pub type Checkpoint<'a> = &'a mut dyn FnMut() -> Result<()>;

/// A chunk that holds a lexeme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// Id of the chunk.
    pub chunk: i64,
    /// Occurrences of the lexeme in it, at least 1.
    pub frequency: u32,
    /// Its length in lexemes, occurrences counted.
    pub length: u32,
}

/// Where the posting lists of one segment lie.
pub trait Lists {
    /// The row of part 0 with the greatest lexeme that is not greater than this one, by bytes.
    fn group(&self, lexeme: &str) -> Result<Option<Cow<'_, [u8]>>>;
    /// A part of a long list: the row of this number, whose lexeme is empty. Numbers are the segment's, from 1; a list's follow each
    /// other.
    fn part(&self, part: u32) -> Result<Option<Cow<'_, [u8]>>>;
}

impl<L: Lists + ?Sized> Lists for Box<L> {
    fn group(&self, lexeme: &str) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).group(lexeme)
    }

    fn part(&self, part: u32) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).part(part)
    }
}

fn damaged() -> Error {
    Error::corrupted("posting lists are damaged")
}
