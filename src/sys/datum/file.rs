//! Bytes of a row that are kept beyond its transaction: a file, in the one copy that detoasting makes.
#![allow(unsafe_code)] // detoasts into memory of its own

use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::ops::Deref;

/// A column of type `bytea`.
pub struct StoredFile {
    context: pg_sys::MemoryContext,
    bytes: *const u8,
    length: usize,
}

impl Deref for StoredFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: they lie in the context, which goes with this.
        unsafe { std::slice::from_raw_parts(self.bytes, self.length) }
    }
}

impl FromDatum for StoredFile {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller says that this is a bytea. What is not toasted comes back as it is, and is copied.
        unsafe {
            let context = pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopMemoryContext,
                c"rag_pg file".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            );
            let stored: *mut pg_sys::varlena = datum.cast_mut_ptr();
            let previous = pg_sys::MemoryContextSwitchTo(context);
            let mut plain = pg_sys::pg_detoast_datum_packed(stored);
            if plain == stored {
                plain = pg_sys::pg_detoast_datum_copy(stored);
            }
            pg_sys::MemoryContextSwitchTo(previous);
            let bytes = pgrx::varlena::vardata_any(plain).cast::<u8>();
            Some(Self { context, bytes, length: pgrx::varlena::varsize_any_exhdr(plain) })
        }
    }
}

impl IntoDatum for StoredFile {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self[..].to_vec().into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::BYTEAOID
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        // While an ERROR unwinds nothing of PostgreSQL's is called; work on files catches it before this goes.
        if !std::thread::panicking() {
            // SAFETY: made by from_polymorphic_datum, and nothing borrows from it any more.
            unsafe { pg_sys::MemoryContextDelete(self.context) };
        }
    }
}
