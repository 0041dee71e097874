//! Rows read by the key of a B-tree index, without a statement: nothing is planned, no privilege is checked and no row-level
//! security applies. For tables that only the library writes and reads.
#![allow(unsafe_code)] // index scans as the executor does them

use pgrx::{PgMemoryContexts, pg_sys};
use std::ffi::CStr;
use std::marker::PhantomData;

/// Most columns of a key.
const COLUMNS: usize = 3;

/// The value of a column of a key.
#[derive(Debug, Clone, Copy)]
pub enum KeyValue<'a> {
    Int(i32),
    Text(&'a str),
    /// This one or any before it.
    UpTo(&'a str),
}

/// A column of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `int4`.
    Int,
    /// `text COLLATE "C"`.
    Text,
}

impl KeyType {
    fn oid(self) -> pg_sys::Oid {
        match self {
            Self::Int => pg_sys::INT4OID,
            Self::Text => pg_sys::TEXTOID,
        }
    }

    fn family(self) -> pg_sys::Oid {
        match self {
            Self::Int => pg_sys::INTEGER_BTREE_FAM_OID,
            Self::Text => pg_sys::TEXT_BTREE_FAM_OID,
        }
    }

    fn collation(self) -> pg_sys::Oid {
        match self {
            Self::Int => pg_sys::InvalidOid,
            Self::Text => pg_sys::C_COLLATION_OID,
        }
    }
}

/// A scan of a table through one of its indexes, in the snapshot that was active when it was opened.
///
/// It holds no pin or lock that the end of the (sub)transaction does not release, so that an ERROR may unwind over it.
pub struct IndexScan {
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    key: Vec<KeyType>,
    /// The text of the key in force, with its header.
    text: Vec<u32>,
    /// Where PostgreSQL allocates for the scan.
    context: PgMemoryContexts,
}

/// Number of a column.
#[derive(Debug, Clone, Copy)]
pub struct Column(pg_sys::AttrNumber);

impl IndexScan {
    /// Opens the table and its B-tree over exactly these columns, for look-ups of the first `given` ones; `None` if there is no
    /// valid one.
    pub fn open(table: pg_sys::Oid, key: &[(&CStr, KeyType)], given: usize) -> Option<Self> {
        assert!(key.len() <= COLUMNS, "a key has few columns");
        // Whatever context is in force may go before the scan does.
        // SAFETY: a context of its own.
        let mut context = unsafe {
            PgMemoryContexts::TopTransactionContext
                .switch_to(|_| PgMemoryContexts::new("rag_pg index scan"))
        };
        // SAFETY: in a transaction with an active snapshot. Both relations stay open and locked as long as the scan.
        let opened = unsafe {
            context.switch_to(|_| {
                let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
                let table = pg_sys::table_open(table, lock);
                let index = index_over(table, key)?;
                let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetActiveSnapshot());
                let columns = given as i32;
                #[cfg(not(feature = "pg18"))]
                let scan = pg_sys::index_beginscan(table, index, snapshot, columns, 0);
                #[cfg(feature = "pg18")]
                let scan = {
                    let uncounted = std::ptr::null_mut();
                    pg_sys::index_beginscan(table, index, snapshot, uncounted, columns, 0)
                };
                let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
                Some((table, index, snapshot, scan, slot))
            })
        };
        let (table, index, snapshot, scan, slot) = opened?;
        let key = key[..given].iter().map(|(_, of)| *of).collect();
        Some(Self { table, index, snapshot, scan, slot, key, text: Vec::new(), context })
    }

    /// The column of this name and type, or `None`.
    pub fn column(&self, name: &CStr, of: pg_sys::Oid) -> Option<Column> {
        // SAFETY: cache look-ups for an open relation.
        unsafe {
            let relation = (*self.table).rd_id;
            let number = pg_sys::get_attnum(relation, name.as_ptr());
            (number > 0 && pg_sys::get_atttype(relation, number) == of).then_some(Column(number))
        }
    }

    /// Chooses the rows whose key begins with these values, all that were to be given.
    pub fn seek(&mut self, given: &[KeyValue<'_>]) {
        assert!(given.len() == self.key.len(), "a look-up gives all columns");
        let mut keys = [pg_sys::ScanKeyData::default(); COLUMNS];
        for (position, value) in given.iter().enumerate() {
            let of = self.key[position];
            let equal = pg_sys::BTEqualStrategyNumber;
            let (strategy, function, argument) = match (of, value) {
                (KeyType::Int, KeyValue::Int(number)) => {
                    (equal, pg_sys::F_INT4EQ, pg_sys::Datum::from(*number))
                }
                (KeyType::Text, KeyValue::Text(text)) => (equal, pg_sys::F_TEXTEQ, self.text(text)),
                (KeyType::Text, KeyValue::UpTo(text)) => {
                    (pg_sys::BTLessEqualStrategyNumber, pg_sys::F_TEXT_LE, self.text(text))
                }
                _ => unreachable!("a value is of its column's type"),
            };
            // SAFETY: initializes the key; the function compares values of this type.
            unsafe {
                pg_sys::ScanKeyEntryInitialize(
                    &raw mut keys[position],
                    0,
                    position as pg_sys::AttrNumber + 1,
                    strategy as pg_sys::StrategyNumber,
                    of.oid(),
                    of.collation(),
                    pg_sys::Oid::from(function),
                    argument,
                );
            }
        }
        let (scan, count) = (self.scan, given.len() as i32);
        // SAFETY: the scan is open, and copies the keys. A text among them lives until the next call.
        unsafe {
            let no_order = std::ptr::null_mut();
            self.context
                .switch_to(|_| pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, no_order, 0));
        }
    }

    /// The next of the chosen rows, in the order of the key, that the snapshot sees.
    pub fn next_row(&mut self) -> Option<Row<'_>> {
        self.row(pg_sys::ScanDirection::ForwardScanDirection)
    }

    /// The last of them, where none was read yet.
    pub fn last_row(&mut self) -> Option<Row<'_>> {
        self.row(pg_sys::ScanDirection::BackwardScanDirection)
    }

    fn row(&mut self, direction: pg_sys::ScanDirection::Type) -> Option<Row<'_>> {
        let (scan, slot) = (self.scan, self.slot);
        // SAFETY: both are open.
        let is_there = unsafe {
            self.context.switch_to(|_| pg_sys::index_getnext_slot(scan, direction, slot))
        };
        is_there.then_some(Row { slot, scan: PhantomData })
    }

    /// A `text` that lives until the next call.
    fn text(&mut self, text: &str) -> pg_sys::Datum {
        let size = size_of::<u32>() + text.len();
        self.text.clear();
        self.text.resize(size.div_ceil(size_of::<u32>()), 0);
        let varlena = self.text.as_mut_ptr().cast::<pg_sys::varlena>();
        // SAFETY: as many bytes lie there.
        unsafe {
            pgrx::set_varsize_4b(varlena, size as i32);
            let bytes = varlena.cast::<u8>().add(size_of::<u32>());
            text.as_ptr().copy_to_nonoverlapping(bytes, text.len());
        }
        pg_sys::Datum::from(varlena)
    }
}

impl Drop for IndexScan {
    fn drop(&mut self) {
        // The end of the (sub)transaction that an ERROR ends releases all of it.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: opened by `open`, each closed once. The table stays locked until the transaction ends, as one that a
        // statement read.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_endscan(self.scan);
            pg_sys::UnregisterSnapshot(self.snapshot);
            pg_sys::index_close(self.index, pg_sys::NoLock as pg_sys::LOCKMODE);
            pg_sys::table_close(self.table, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}

/// A valid B-tree of all rows over these columns, open.
///
/// # Safety
/// The table is open.
unsafe fn index_over(
    table: pg_sys::Relation,
    key: &[(&CStr, KeyType)],
) -> Option<pg_sys::Relation> {
    // SAFETY: as promised; the list is this memory context's, of indexes that stay while the table is locked, or NULL for none.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let list = pg_sys::RelationGetIndexList(table);
        let cells = list.as_ref().map_or(&[][..], |list| {
            std::slice::from_raw_parts(list.elements, list.length as usize)
        });
        for cell in cells {
            let index = pg_sys::index_open(cell.oid_value, lock);
            if is_over(table, index, key) {
                return Some(index);
            }
            pg_sys::index_close(index, lock);
        }
        pg_sys::table_close(table, lock);
        None
    }
}

/// # Safety
/// Both are open.
unsafe fn is_over(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    key: &[(&CStr, KeyType)],
) -> bool {
    // SAFETY: as promised; an index has arrays of as many entries as it has key columns.
    unsafe {
        let definition = &*(*index).rd_index;
        let is_of_all = pg_sys::RelationGetIndexPredicate(index).is_null();
        let is_btree = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID;
        if !(is_btree && definition.indisvalid && is_of_all)
            || usize::try_from(definition.indnkeyatts) != Ok(key.len())
        {
            return false;
        }
        let numbers = definition.indkey.values.as_slice(key.len());
        key.iter().enumerate().all(|(position, (name, of))| {
            numbers[position] == pg_sys::get_attnum((*table).rd_id, name.as_ptr())
                && *(*index).rd_opfamily.add(position) == of.family()
                && *(*index).rd_opcintype.add(position) == of.oid()
                && *(*index).rd_indcollation.add(position) == of.collation()
        })
    }
}

/// A row, until the scan goes on.
pub struct Row<'s> {
    slot: *mut pg_sys::TupleTableSlot,
    scan: PhantomData<&'s IndexScan>,
}

impl Row<'_> {
    /// A column of type `bool`; NULL is false.
    pub fn bool(&self, column: Column) -> bool {
        self.datum(column).is_some_and(|datum| datum.value() != 0)
    }

    /// A column of type `int4`; NULL is 0.
    pub fn int(&self, column: Column) -> i32 {
        self.datum(column).map_or(0, |datum| datum.value() as i32)
    }

    /// A column of type `int8`; NULL is 0.
    pub fn bigint(&self, column: Column) -> i64 {
        self.datum(column).map_or(0, |datum| datum.value() as i64)
    }

    /// A copy of the bytes of a column of type `bytea` or `text`, detoasted; `None`: NULL.
    pub fn bytes(&self, column: Column) -> Option<Vec<u8>> {
        let stored = self.datum(column)?.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: a value of a type of variable length, which the pinned row holds; what is detoasted is freed.
        unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(stored);
            let bytes = pgrx::varlena::varlena_to_byte_slice(plain).to_vec();
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
            Some(bytes)
        }
    }

    fn datum(&self, Column(number): Column) -> Option<pg_sys::Datum> {
        // SAFETY: the slot holds a row until the scan goes on, and the column exists.
        unsafe {
            let slot = self.slot;
            if (*slot).tts_nvalid < number {
                pg_sys::slot_getsomeattrs_int(slot, i32::from(number));
            }
            let at = usize::from(number.unsigned_abs()) - 1;
            (!*(*slot).tts_isnull.add(at)).then(|| *(*slot).tts_values.add(at))
        }
    }
}
