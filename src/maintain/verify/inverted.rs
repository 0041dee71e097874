//! The inverted file against the chunks: every posting list is decoded, encoded again and compared byte for byte, and together they
//! have exactly the lexemes of the chunks.
use crate::catalog::inverted::{PostingRows, SegmentRow, SegmentSource, segments};
use crate::catalog::target::Target;
use crate::ingest::inverted::rewrite;
use crate::maintain::verify::{Finding, as_owner};
use crate::sys::cursor::{self, Snapshot};
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::interrupt::checkpoint;
use crate::sys::plan;
use crate::sys::spi::{fill, required};
use pgrx::spi::SpiHeapTupleData;
use rag::Result;
use rag::inverted::{EVERY, Posting, Reader, Sink};
use std::hash::{BuildHasher, RandomState};

/// Compares in one snapshot; what is wrong is written anew as a whole.
pub fn verify(target: &Target, repairs: bool) -> Result<Finding> {
    let compared = {
        let _snapshot = Snapshot::take();
        as_owner(target, || compare(target))
    };
    let is_wrong = match compared {
        Ok(is_equal) => !is_equal,
        Err(error) if error.sqlstate() == "XX001" => true,
        // An index is missing, which a repair creates first.
        Err(error) if error.sqlstate() == "55000" && !repairs => true,
        Err(error) => return Err(error),
    };
    if is_wrong && repairs {
        rewrite::all(target)?;
    }
    Ok(Finding::new("posting lists wrong", i64::from(is_wrong), repairs.then_some("written anew")))
}

fn compare(target: &Target) -> Result<bool> {
    let mut sum = PostingSum::default();
    for segment in segments(&target.generation)? {
        if !is_as_written(target, &segment)? {
            return Ok(false);
        }
        sum.add_segment(target, segment)?;
    }
    let sql = fill(statement!("ingest/read_lexemes"), &[("chunks", &target.chunks)]);
    let lexemes = |row: &SpiHeapTupleData<'_>| -> (i64, StoredTsVector) {
        (required(row, 1), required(row, 2))
    };
    cursor::batches(&sql, &[], lexemes, |chunks| {
        for (chunk, lexemes) in &chunks {
            sum.subtract_chunk(*chunk, lexemes);
        }
        Ok(())
    })?;
    Ok(sum.sum == 0)
}

/// Whether writing a segment's lists again gives the very same bytes, and its row counts its chunks.
fn is_as_written(target: &Target, segment: &SegmentRow) -> Result<bool> {
    let rows = PostingRows::open(&target.generation)?;
    let (mut is_equal, mut inline, mut unused) = (true, Vec::new(), Vec::new());
    let mut count = 0_i64;
    let mut compare = |lexeme: &str, part: u32, data: &[u8]| {
        count += 1;
        is_equal &= rows.exact(segment.number, part, lexeme).is_some_and(|bytes| bytes == data);
        Ok(())
    };
    let sink =
        if segment.inline.is_some() { Sink::Inline(&mut inline) } else { Sink::Rows(&mut compare) };
    let source = SegmentSource::open(&target.generation, vec![segment.clone()])?;
    let none = Sink::Inline(&mut unused);
    let merged = rag::inverted::merge(source, Vec::new(), sink, none, &mut checkpoint)?.live;
    if let Some(bytes) = &segment.inline {
        is_equal &= *bytes == inline;
    }
    let is_counted = merged.chunks == segment.chunks && merged.length == segment.length;
    Ok(is_equal && is_counted && row_count(target, segment.number) == count)
}

/// Rows that the table of postings has of a segment.
fn row_count(target: &Target, segment: i32) -> i64 {
    let sql = fill(statement!("maintain/verify_count_postings"), &[("postings", &target.postings)]);
    plan::read(&sql, &[segment.into()], |row| required(row, 1))[0]
}

/// The sum of hashes of postings, those of deletions subtracted: two lists of postings have the same only if they are the same,
/// whatever their order, but for one chance in 2^64.
#[derive(Default)]
struct PostingSum {
    hasher: RandomState,
    sum: u64,
}

impl PostingSum {
    fn hash(&self, lexeme: &[u8], posting: Posting) -> u64 {
        let Posting { chunk, frequency, length } = posting;
        self.hasher.hash_one((lexeme, chunk, frequency, length))
    }

    fn add_segment(&mut self, target: &Target, segment: SegmentRow) -> Result<()> {
        let is_deletion = segment.is_deletion;
        let mut postings = Vec::new();
        for source in SegmentSource::open(&target.generation, vec![segment])? {
            let mut reader = Reader::new(source);
            while reader.next_list(&mut postings)?.is_some() {
                checkpoint()?;
                for posting in &postings {
                    let hash = self.hash(reader.lexeme(), *posting);
                    self.sum = if is_deletion {
                        self.sum.wrapping_sub(hash)
                    } else {
                        self.sum.wrapping_add(hash)
                    };
                }
            }
        }
        Ok(())
    }

    fn subtract_chunk(&mut self, chunk: i64, lexemes: &StoredTsVector) {
        let lexemes = lexemes.as_tsvector();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let length = number(lexemes.lexemes().map(|(_, occurrences)| occurrences).sum());
        let of_all = (EVERY.as_bytes(), 1);
        for (lexeme, occurrences) in std::iter::once(of_all).chain(lexemes.lexemes()) {
            let posting = Posting { chunk, frequency: number(occurrences), length };
            self.sum = self.sum.wrapping_sub(self.hash(lexeme, posting));
        }
    }
}
