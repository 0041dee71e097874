//! Rows of a trigger call, in tuple table slots and transition tables.
use crate::catalog::collection::key;
use crate::ingest::trigger::target::TriggerColumn;
use crate::sys::ffi;
use pgrx::{pg_sys, varlena};
use std::ffi::CStr;
use std::fmt::{Display, Write as _};

/// A row in a slot, valid until the slot holds another.
#[derive(Clone, Copy)]
pub struct SlotRow {
    slot: *mut pg_sys::TupleTableSlot,
    scratch: pg_sys::MemoryContext,
}

impl SlotRow {
    /// The row of a row trigger.
    ///
    /// # Safety
    /// `slot` holds a row for as long as the result is used.
    pub unsafe fn new(slot: *mut pg_sys::TupleTableSlot) -> Self {
        // SAFETY: a trigger runs in a context that is reset after each row.
        Self { slot, scratch: unsafe { pg_sys::CurrentMemoryContext } }
    }

    /// The row's key, in the key's order of columns: as [`key::encode`] writes it.
    pub fn key(&self, columns: &[TriggerColumn]) -> String {
        let mut key = String::with_capacity(16 * columns.len());
        for column in columns {
            key.push(if key.is_empty() { '[' } else { ',' });
            // SAFETY: the slot holds a row, of the relation the columns were described from.
            match (unsafe { self.get(column.attribute) }, column.integer) {
                // A primary key has no NULLs.
                (None, _) => key::push(&mut key, ""),
                (Some(datum), 0) => self.push_text(&mut key, datum, column.output),
                (Some(datum), 2) => push_integer(&mut key, datum.value() as i16),
                (Some(datum), 4) => push_integer(&mut key, datum.value() as i32),
                (Some(datum), _) => push_integer(&mut key, datum.value() as i64),
            }
        }
        key.push(']');
        key
    }

    fn push_text(&self, key: &mut String, datum: pg_sys::Datum, output: pg_sys::Oid) {
        // SAFETY: the output function is that of the datum's type, and returns a palloc'd C string, in a
        // context that is reset before long.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(self.scratch);
            let text = CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, datum));
            key::push(key, &text.to_string_lossy());
            pg_sys::MemoryContextSwitchTo(previous);
        }
    }

    /// Whether any of `columns` differs in its bytes.
    pub fn differs(&self, other: &Self, columns: &[TriggerColumn]) -> bool {
        columns.iter().any(|column| {
            // SAFETY: both slots hold rows of the relation the columns were described from.
            unsafe {
                match (self.get(column.attribute), other.get(column.attribute)) {
                    (None, None) => false,
                    (Some(a), Some(b)) => !self.same_image(a, b, column),
                    _ => true,
                }
            }
        })
    }

    unsafe fn same_image(
        &self,
        a: pg_sys::Datum,
        b: pg_sys::Datum,
        column: &TriggerColumn,
    ) -> bool {
        // SAFETY: the datums are of the column's type; the comparison may detoast into scratch.
        unsafe {
            // An update of other columns leaves a value where it is: a large one is not fetched to be compared with itself.
            if column.length == -1 && is_same_pointer(a, b) {
                return true;
            }
            let previous = pg_sys::MemoryContextSwitchTo(self.scratch);
            let same = ffi::datum_image_eq(a, b, column.by_value, column.length);
            pg_sys::MemoryContextSwitchTo(previous);
            same
        }
    }

    unsafe fn get(&self, attribute: i16) -> Option<pg_sys::Datum> {
        // SAFETY: the attribute belongs to the slot's relation; the slot is deformed that far first.
        unsafe {
            if (*self.slot).tts_nvalid < attribute {
                pg_sys::slot_getsomeattrs_int(self.slot, i32::from(attribute));
            }
            let index = usize::try_from(attribute - 1).expect("user columns count from 1");
            (!*(*self.slot).tts_isnull.add(index)).then(|| *(*self.slot).tts_values.add(index))
        }
    }
}

/// Whether two values lie out of line, in the same place.
unsafe fn is_same_pointer(a: pg_sys::Datum, b: pg_sys::Datum) -> bool {
    // SAFETY: the caller gives values of variable length, whose header tells their size.
    unsafe {
        let (a, b) = (a.cast_mut_ptr::<pg_sys::varlena>(), b.cast_mut_ptr::<pg_sys::varlena>());
        if !varlena::varatt_is_1b_e(a) || !varlena::varatt_is_1b_e(b) {
            return false;
        }
        let bytes = |value: *mut pg_sys::varlena| {
            std::slice::from_raw_parts(value.cast::<u8>(), varlena::varsize_any(value))
        };
        bytes(a) == bytes(b)
    }
}

/// Appends an integer as its type's output function writes it.
fn push_integer(key: &mut String, value: impl Display) {
    let _ = write!(key, "\"{value}\"");
}

/// Rows between two resets of their memory and interrupt checks.
const ROWS_PER_RESET: usize = 64;

/// One pass over a transition table.
pub struct TransitionTable {
    store: *mut pg_sys::Tuplestorestate,
    rows: usize,
    slot: *mut pg_sys::TupleTableSlot,
    scratch: pg_sys::MemoryContext,
}

impl TransitionTable {
    /// Starts a pass over `store`, or nothing where the trigger asked for no such table.
    ///
    /// # Safety
    /// `store` is NULL or a transition table of a trigger on `relation` that is being called.
    pub unsafe fn new(
        relation: pg_sys::Relation,
        store: *mut pg_sys::Tuplestorestate,
    ) -> Option<Self> {
        if store.is_null() {
            return None;
        }
        // SAFETY: as the caller promises. A read pointer of our own leaves other triggers' alone.
        unsafe {
            let flags = pg_sys::EXEC_FLAG_REWIND.cast_signed();
            let pointer = pg_sys::tuplestore_alloc_read_pointer(store, flags);
            pg_sys::tuplestore_select_read_pointer(store, pointer);
            pg_sys::tuplestore_rescan(store);
            let slot = pg_sys::MakeSingleTupleTableSlot(
                (*relation).rd_att,
                &raw const pg_sys::TTSOpsMinimalTuple,
            );
            let scratch = pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"rag_ingest row".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            );
            Some(Self { store, rows: 0, slot, scratch })
        }
    }

    /// The next row, valid until the one after it.
    pub fn next(&mut self) -> Option<SlotRow> {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_PER_RESET) {
            pgrx::check_for_interrupts!();
            // SAFETY: it holds nothing that is used past a row.
            unsafe { pg_sys::MemoryContextReset(self.scratch) };
        }
        // SAFETY: store and slot live as long as the trigger's call, during which no other code selects
        // a read pointer of this store.
        unsafe {
            pg_sys::tuplestore_gettupleslot(self.store, true, false, self.slot)
                .then_some(SlotRow { slot: self.slot, scratch: self.scratch })
        }
    }
}

impl Drop for TransitionTable {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: made by new, and no row of it is used any more. An abort frees both by itself.
            unsafe {
                pg_sys::ExecDropSingleTupleTableSlot(self.slot);
                pg_sys::MemoryContextDelete(self.scratch);
            }
        }
    }
}
