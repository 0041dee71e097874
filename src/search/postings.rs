//! Which chunks the full-text index lists under each lexeme, read from the index itself: a query by SQL would look
//! up one place after the other, and take many times as long to find those that hold the most telling lexemes.
#![allow(unsafe_code)] // reads pages of an index by PostgreSQL's rules for that

use crate::sys::ffi;
use pgrx::{PgRelation, pg_sys};
use rag::search::gin::{META, Malformed, Page, Postings, ROOT, Step, unpack};
use rag::search::postings::intersect;
use std::ffi::CStr;

/// What an index has under a lexeme.
pub struct Entry {
    /// About how many rows, those lately deleted too.
    pub count: f64,
    /// Places of some of them, in any order.
    places: Vec<u64>,
    /// The root of the tree where the places of the others are.
    tree: Option<u32>,
}

/// The full-text index of a table, open.
pub struct Index {
    index: PgRelation,
    _table: PgRelation,
}

impl Index {
    /// A full-text index of all rows on the column, if there is one.
    pub fn open(table: pg_sys::Oid, column: &CStr) -> Option<Self> {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        // SAFETY: a table that exists, or an ERROR; while it is locked nobody drops an index of it.
        let table = unsafe { PgRelation::with_lock(table, lock) };
        // SAFETY: a syscache look-up.
        let column = unsafe { pg_sys::get_attnum(table.oid(), column.as_ptr()) };
        // SAFETY: the list is this memory context's, or NULL for an empty one.
        let indexes = unsafe {
            let list = pg_sys::RelationGetIndexList(table.as_ptr());
            list.as_ref().map_or(&[][..], |list| {
                std::slice::from_raw_parts(list.elements, list.length as usize)
            })
        };
        let index = indexes.iter().find_map(|cell| {
            // SAFETY: a list of OIDs, of indexes that stay.
            let index = unsafe { PgRelation::with_lock(cell.oid_value, lock) };
            is_full_text_index(&index, column).then_some(index)
        })?;
        Some(Self { index, _table: table })
    }

    /// Its number.
    pub fn oid(&self) -> pg_sys::Oid {
        self.index.oid()
    }

    /// What is under each of `lexemes`; of long lists only where they are.
    pub fn entries(&self, lexemes: &[&str]) -> Result<Vec<Entry>, Malformed> {
        // SAFETY: as an index scan does. Where the transaction is not serializable it does nothing.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            let index = self.index.as_ptr();
            ffi::predicate_lock_relation(index, snapshot);
        }
        // First, since entries move from there to where they belong.
        let mut waiting = vec![Vec::new(); lexemes.len()];
        self.waiting(lexemes, &mut waiting)?;
        let entries = lexemes.iter().zip(waiting);
        entries.map(|(lexeme, waiting)| self.entry(lexeme, waiting)).collect()
    }

    /// The places of an entry's rows, ascending, those of rows lately deleted too; of these only those among `others`, if
    /// given. `None` where there are more than `most`.
    pub fn places(
        &self,
        entry: Entry,
        most: usize,
        others: Option<&[u64]>,
    ) -> Result<Option<Vec<u64>>, Malformed> {
        let Entry { mut places, tree, .. } = entry;
        let narrow = |places: &mut Vec<u64>| {
            if let Some(others) = others {
                intersect(places, others);
            }
        };
        places.sort_unstable();
        places.dedup();
        narrow(&mut places);
        if let Some(root) = tree {
            let listed = places.len();
            let mut page_places = Vec::new();
            let mut next = Some(self.leftmost(root)?.0);
            while let Some(block) = next {
                let page = self.read(block);
                page_places.clear();
                page.page()?.unpack(&mut page_places)?;
                next = page.page()?.right();
                narrow(&mut page_places);
                places.append(&mut page_places);
                if places.len() > most {
                    return Ok(None);
                }
            }
            if listed > 0 {
                places.sort_unstable();
                places.dedup();
            }
        }
        Ok((places.len() <= most).then_some(places))
    }

    /// Adds the places of entries that wait.
    fn waiting(&self, lexemes: &[&str], places: &mut [Vec<u64>]) -> Result<(), Malformed> {
        let meta = Locked::read(&self.index, META);
        let mut next = meta.page()?.pending_head()?;
        // Pages leave the list, and may be used for anything, under a lock of the one before.
        let mut last = meta;
        while let Some(block) = next {
            let page = Locked::read(&self.index, block);
            drop(std::mem::replace(&mut last, page));
            let page = last.page()?;
            for entry in page.pending_entries()? {
                let (lexeme, place) = entry?;
                let is_it = |wanted: &&str| lexeme == Some(wanted.as_bytes());
                if let Some(at) = lexemes.iter().position(is_it) {
                    places[at].push(place);
                }
            }
            next = page.right();
        }
        Ok(())
    }

    /// What is under one lexeme, `places` beside it.
    fn entry(&self, lexeme: &str, mut places: Vec<u64>) -> Result<Entry, Malformed> {
        let mut block = ROOT;
        // A page is let go before the next is locked: pages of this tree stay, and what moves moves to the right.
        let tree = loop {
            let page = self.read(block);
            match page.page()?.find(lexeme.as_bytes())? {
                Step::To(next) => block = next,
                Step::Here(None) => break None,
                Step::Here(Some(Postings::Packed(packed))) => {
                    let mut sorted = Vec::new();
                    unpack(packed, &mut sorted)?;
                    places.append(&mut sorted);
                    break None;
                }
                Step::Here(Some(Postings::Tree(root))) => break Some(root),
            }
        };
        let in_tree = tree.map_or(Ok(0.0), |root| self.leftmost(root).map(|(_, count)| count))?;
        Ok(Entry { count: places.len() as f64 + in_tree, places, tree })
    }

    /// The leftmost leaf of a tree of places, and about how many places the tree has: as if all its pages were filled like those
    /// on the way there.
    fn leftmost(&self, root: u32) -> Result<(u32, f64), Malformed> {
        let (mut block, mut leaves) = (root, 1.0);
        // A page that leaves this tree keeps its neighbour, and is not used anew while anyone has a snapshot from before.
        loop {
            let page = self.read(block);
            let page = page.page()?;
            match page.leftmost()? {
                Step::To(next) => {
                    leaves *= f64::from(page.children()?.max(1));
                    block = next;
                }
                Step::Here(()) => {
                    let mut places = Vec::new();
                    page.unpack(&mut places)?;
                    return Ok((block, leaves * places.len() as f64));
                }
            }
        }
    }

    fn read(&self, block: u32) -> Locked {
        pgrx::check_for_interrupts!();
        Locked::read(&self.index, block)
    }
}

fn is_full_text_index(index: &PgRelation, column: pg_sys::AttrNumber) -> bool {
    // SAFETY: both are there as long as an index is open, and none is without columns. The list is this memory context's.
    unsafe {
        let definition = &*index.rd_index;
        let first = definition.indkey.values.as_slice(1)[0];
        let is_of_all = pg_sys::RelationGetIndexPredicate(index.as_ptr()).is_null();
        let is_gin = (*index.rd_rel).relam == pg_sys::GIN_AM_OID;
        let is_single = definition.indnatts == 1;
        is_gin && is_single && first == column && definition.indisvalid && is_of_all
    }
}

/// A page that nobody writes until it is dropped.
struct Locked(pg_sys::Buffer);

impl Locked {
    fn read(index: &PgRelation, block: u32) -> Self {
        // SAFETY: the index is open.
        unsafe {
            let buffer = pg_sys::ReadBuffer(index.as_ptr(), block);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            Self(buffer)
        }
    }

    fn page(&self) -> Result<Page<'_>, Malformed> {
        // SAFETY: a buffer that is pinned and locked holds a page of this size until it is dropped.
        let bytes = unsafe {
            let page = pg_sys::BufferGetPage(self.0).cast::<u8>();
            std::slice::from_raw_parts(page, pg_sys::BLCKSZ as usize)
        };
        Page::new(bytes)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // An ERROR has set the count of reasons to hold interrupts to 0, from which unlocking would take one. The
        // end of the (sub)transaction unlocks the page and releases it.
        if !std::thread::panicking() {
            // SAFETY: pinned and locked by `read`.
            unsafe { pg_sys::UnlockReleaseBuffer(self.0) };
        }
    }
}
