//! Posting lists read from the pages of the GIN index: a bitmap scan would also visit every chunk, and take many times as long to find
//! those with the rarest lexemes.
#![allow(unsafe_code)] // reads pages of an index by PostgreSQL's rules for that

use crate::sys::ffi;
use pgrx::{PgRelation, pg_sys};
use rag::search::gin::{META, Malformed, Page, Postings, ROOT, Step, unpack};
use rag::search::postings::intersect;
use std::ffi::CStr;

/// An entry of the index: a lexeme's TIDs, dead ones too.
pub struct GinEntry {
    /// About how many.
    pub count: f64,
    /// Those of the pending list and of a posting list, packed, in any order.
    tids: Vec<u64>,
    /// The root of the posting tree with the others.
    posting_tree: Option<u32>,
}

/// The full-text index of a table, open.
pub struct GinIndex {
    index: PgRelation,
    _table: PgRelation,
}

impl GinIndex {
    /// A full-text index of all rows on the column, if there is one.
    pub fn open(table: pg_sys::Oid, column: &CStr) -> Option<Self> {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        // SAFETY: a table that exists, or an ERROR; while it is locked no index of it is dropped.
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

    /// Its OID.
    pub fn oid(&self) -> pg_sys::Oid {
        self.index.oid()
    }

    /// The entry of each of `lexemes`. Posting trees are not read.
    pub fn entries(&self, lexemes: &[&str]) -> Result<Vec<GinEntry>, Malformed> {
        // SAFETY: as an index scan does. Where the transaction is not serializable it does nothing.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            let index = self.index.as_ptr();
            ffi::predicate_lock_relation(index, snapshot);
        }
        // The pending list first: a flush moves its TIDs to the entries, and none must be missed.
        let mut pending = vec![Vec::new(); lexemes.len()];
        self.pending(lexemes, &mut pending)?;
        let entries = lexemes.iter().zip(pending);
        entries.map(|(lexeme, pending)| self.entry(lexeme, pending)).collect()
    }

    /// The TIDs of an entry, ascending; of these only the `allowed` ones, if given. `None` where there are more than `most`.
    pub fn tids(
        &self,
        entry: GinEntry,
        most: usize,
        allowed: Option<&[u64]>,
    ) -> Result<Option<Vec<u64>>, Malformed> {
        let GinEntry { mut tids, posting_tree, .. } = entry;
        let narrow = |tids: &mut Vec<u64>| {
            if let Some(allowed) = allowed {
                intersect(tids, allowed);
            }
        };
        tids.sort_unstable();
        tids.dedup();
        narrow(&mut tids);
        if let Some(root) = posting_tree {
            let others = tids.len();
            let mut page_tids = Vec::new();
            let mut next = Some(self.leftmost(root)?.0);
            while let Some(block) = next {
                let page = self.read(block);
                page_tids.clear();
                page.page()?.unpack(&mut page_tids)?;
                next = page.page()?.right();
                narrow(&mut page_tids);
                tids.append(&mut page_tids);
                if tids.len() > most {
                    return Ok(None);
                }
            }
            if others > 0 {
                tids.sort_unstable();
                tids.dedup();
            }
        }
        Ok((tids.len() <= most).then_some(tids))
    }

    /// Adds the TIDs of the pending list.
    fn pending(&self, lexemes: &[&str], tids: &mut [Vec<u64>]) -> Result<(), Malformed> {
        let meta = Locked::read(&self.index, META);
        let mut next = meta.page()?.pending_head()?;
        // A page is unlinked, and may be reused, under a lock of the one before, which is therefore kept until it is read.
        let mut last = meta;
        while let Some(block) = next {
            let page = Locked::read(&self.index, block);
            drop(std::mem::replace(&mut last, page));
            let page = last.page()?;
            for entry in page.pending_entries()? {
                let (lexeme, tid) = entry?;
                let is_it = |wanted: &&str| lexeme == Some(wanted.as_bytes());
                if let Some(at) = lexemes.iter().position(is_it) {
                    tids[at].push(tid);
                }
            }
            next = page.right();
        }
        Ok(())
    }

    /// The entry of a lexeme whose pending `tids` are known.
    fn entry(&self, lexeme: &str, mut tids: Vec<u64>) -> Result<GinEntry, Malformed> {
        let mut block = ROOT;
        // A page is unlocked before the next is locked: pages of the entry tree are never removed, and splits move keys to the right.
        let posting_tree = loop {
            let page = self.read(block);
            match page.page()?.find(lexeme.as_bytes())? {
                Step::To(next) => block = next,
                Step::Here(None) => break None,
                Step::Here(Some(Postings::Packed(packed))) => {
                    let mut sorted = Vec::new();
                    unpack(packed, &mut sorted)?;
                    tids.append(&mut sorted);
                    break None;
                }
                Step::Here(Some(Postings::Tree(root))) => break Some(root),
            }
        };
        let in_tree =
            posting_tree.map_or(Ok(0.0), |root| self.leftmost(root).map(|(_, count)| count))?;
        Ok(GinEntry { count: tids.len() as f64 + in_tree, tids, posting_tree })
    }

    /// The leftmost leaf of a posting tree, and about how many TIDs the tree has: as if all its pages were as full as those on the
    /// way there.
    fn leftmost(&self, root: u32) -> Result<(u32, f64), Malformed> {
        let (mut block, mut leaves) = (root, 1.0);
        // A page that VACUUM removes from the tree keeps its right link, and is not reused while a snapshot from before is left.
        loop {
            let page = self.read(block);
            let page = page.page()?;
            match page.leftmost()? {
                Step::To(next) => {
                    leaves *= f64::from(page.children()?.max(1));
                    block = next;
                }
                Step::Here(()) => {
                    let mut tids = Vec::new();
                    page.unpack(&mut tids)?;
                    return Ok((block, leaves * tids.len() as f64));
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

/// A page under a share lock.
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
