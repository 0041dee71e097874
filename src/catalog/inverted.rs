//! The inverted file of a generation, read from its tables in the active snapshot; `rag::inverted` has what it means.
//!
//! Rows are read by key, without a statement: what a caller may see of the chunks found is decided by statements of the caller's
//! own. A search reads from as many segments as there are, so that opening one costs a row.
use crate::catalog::collection::Generation;
use crate::sys::index_scan::{Column, IndexScan, KeyType, KeyValue};
use crate::sys::names;
use pgrx::pg_sys::{self, Oid};
use rag::inverted::{Index, Inline, Lists, Segment, Source};
use rag::{Error, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

const SEGMENT_KEY: [(&CStr, KeyType); 1] = [(c"segment", KeyType::Int)];
const POSTINGS_KEY: [(&CStr, KeyType); 3] =
    [(c"segment", KeyType::Int), (c"part", KeyType::Int), (c"lexeme", KeyType::Text)];

/// The part with the lists of several lexemes.
const GROUPS: KeyValue<'_> = KeyValue::Int(0);

/// A row of the table of segments.
#[derive(Clone)]
pub struct SegmentRow {
    pub number: i32,
    pub is_deletion: bool,
    pub chunks: u64,
    /// Their lexemes together, occurrences counted.
    pub length: u64,
    /// All posting lists; `None`: they lie in the table of postings.
    pub inline: Option<Vec<u8>>,
}

/// Opens the inverted file for searches.
pub fn open(generation: &Generation) -> Result<Index<SegmentLists>> {
    let rows = Rc::new(PostingRows::open(generation)?);
    let segments = segments(generation)?.into_iter().map(|row| {
        let lists = match row.inline {
            Some(bytes) => SegmentLists::Inline(Inline::from(bytes)),
            None => SegmentLists::Stored { segment: row.number, rows: Rc::clone(&rows) },
        };
        let SegmentRow { is_deletion, chunks, length, .. } = row;
        Segment { is_deletion, chunks, length, lists }
    });
    Ok(Index { segments: segments.collect() })
}

/// All segments, in the order of their numbers.
pub fn segments(generation: &Generation) -> Result<Vec<SegmentRow>> {
    let table = generation.segments;
    let mut scan = IndexScan::open(table, &SEGMENT_KEY, 0).ok_or_else(|| no_index(table))?;
    let column = |name: &CStr, of: Oid| scan.column(name, of).ok_or_else(|| other_columns(table));
    let number = column(c"segment", pg_sys::INT4OID)?;
    let is_deletion = column(c"is_deletion", pg_sys::BOOLOID)?;
    let chunks = column(c"chunks", pg_sys::INT8OID)?;
    let length = column(c"length", pg_sys::INT8OID)?;
    let inline = column(c"postings", pg_sys::BYTEAOID)?;
    scan.seek(&[]);
    let mut rows = Vec::new();
    while let Some(row) = scan.next_row() {
        let number = row.int(number);
        let count = |column| {
            u64::try_from(row.bigint(column)).map_err(|_| {
                Error::corrupted(format!("the numbers of segment {number} are negative"))
            })
        };
        rows.push(SegmentRow {
            number,
            is_deletion: row.bool(is_deletion),
            chunks: count(chunks)?,
            length: count(length)?,
            inline: row.bytes(inline),
        });
    }
    Ok(rows)
}

/// An error of damaged bytes, with the generation they belong to; others as they are.
pub fn damaged(generation: &Generation, error: Error) -> Error {
    if error.sqlstate() != "XX001" {
        return error;
    }
    let id = generation.id;
    Error::corrupted(format!("the inverted file of generation {id} is damaged"))
        .with_detail(format!("Found that {}.", error.message()))
        .with_hint("rag_verify() of its collection writes the file anew from the chunks.")
}

/// Posting lists of a segment, by lexeme.
pub enum SegmentLists {
    /// In its row.
    Inline(Inline<'static>),
    /// In the table of postings.
    Stored { segment: i32, rows: Rc<PostingRows> },
}

impl Lists for SegmentLists {
    fn group(&self, lexeme: &str) -> Result<Option<Cow<'_, [u8]>>> {
        match self {
            Self::Inline(lists) => lists.group(lexeme),
            Self::Stored { segment, rows } => Ok(rows.group(*segment, lexeme).map(Cow::Owned)),
        }
    }

    fn part(&self, part: u32) -> Result<Option<Cow<'_, [u8]>>> {
        match self {
            Self::Inline(lists) => lists.part(part),
            Self::Stored { segment, rows } => Ok(rows.part(*segment, part).map(Cow::Owned)),
        }
    }
}

/// The table of postings, by key.
pub struct PostingRows {
    groups: RefCell<IndexScan>,
    parts: RefCell<IndexScan>,
    data: Column,
}

impl PostingRows {
    pub fn open(generation: &Generation) -> Result<Self> {
        let (groups, data) = postings_scan(generation, 3)?;
        let (parts, _) = postings_scan(generation, 3)?;
        Ok(Self { groups: RefCell::new(groups), parts: RefCell::new(parts), data })
    }

    fn group(&self, segment: i32, lexeme: &str) -> Option<Vec<u8>> {
        let mut scan = self.groups.borrow_mut();
        scan.seek(&[KeyValue::Int(segment), GROUPS, KeyValue::UpTo(lexeme)]);
        scan.last_row()?.bytes(self.data)
    }

    /// A part of a long list: its row has the empty lexeme.
    fn part(&self, segment: i32, part: u32) -> Option<Vec<u8>> {
        self.exact(segment, part, "")
    }

    /// The row of this very key.
    pub fn exact(&self, segment: i32, part: u32, lexeme: &str) -> Option<Vec<u8>> {
        let part = i32::try_from(part).ok()?;
        let mut scan = self.parts.borrow_mut();
        scan.seek(&[KeyValue::Int(segment), KeyValue::Int(part), KeyValue::Text(lexeme)]);
        scan.next_row()?.bytes(self.data)
    }
}

/// A segment, from its first lexeme to its last.
pub enum SegmentSource {
    Inline(Inline<'static>),
    Stored { segment: i32, groups: IndexScan, rows: Rc<PostingRows> },
}

impl SegmentSource {
    /// Reads segments of a generation side by side.
    pub fn open(generation: &Generation, segments: Vec<SegmentRow>) -> Result<Vec<Self>> {
        let rows = Rc::new(PostingRows::open(generation)?);
        let source = |row: SegmentRow| {
            if let Some(bytes) = row.inline {
                return Ok(Self::Inline(Inline::from(bytes)));
            }
            let (mut groups, _) = postings_scan(generation, 2)?;
            groups.seek(&[KeyValue::Int(row.number), GROUPS]);
            Ok(Self::Stored { segment: row.number, groups, rows: Rc::clone(&rows) })
        };
        segments.into_iter().map(source).collect()
    }
}

impl Source for SegmentSource {
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>> {
        match self {
            Self::Inline(lists) => lists.next_group(),
            Self::Stored { groups, rows, .. } => {
                Ok(groups.next_row().and_then(|row| row.bytes(rows.data)).map(Cow::Owned))
            }
        }
    }

    fn part(&mut self, part: u32) -> Result<Option<Cow<'_, [u8]>>> {
        match self {
            Self::Inline(lists) => Source::part(lists, part),
            Self::Stored { segment, rows, .. } => Ok(rows.part(*segment, part).map(Cow::Owned)),
        }
    }
}

/// A scan of the table of postings by the first `given` columns of its key, and its column of bytes.
fn postings_scan(generation: &Generation, given: usize) -> Result<(IndexScan, Column)> {
    let table = generation.postings;
    let scan = IndexScan::open(table, &POSTINGS_KEY, given).ok_or_else(|| no_index(table))?;
    let data = scan.column(c"data", pg_sys::BYTEAOID).ok_or_else(|| other_columns(table))?;
    Ok((scan, data))
}

fn no_index(table: Oid) -> Error {
    Error::not_ready(format!("table {} lacks its primary key", names::relation_sql(table)))
        .with_hint("rag_verify() of its collection creates it again.")
}

fn other_columns(table: Oid) -> Error {
    Error::not_ready(format!("table {} is not as it was created", names::relation_sql(table)))
        .with_hint("Make new tables with rag_rebuild().")
}
