//! Text of a row, as it is stored: fetched and decompressed (detoasted) when it is first read.
#![allow(unsafe_code)] // copies and expands PostgreSQL's variable-length values

use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::cell::OnceCell;
use std::ops::Deref;

/// A column of type `text`. Good as long as the snapshot it was read with, which may be all that keeps
/// what it points to.
#[derive(Debug, Clone)]
pub struct StoredText {
    /// The value with its header. Of words, since headers are aligned as such.
    stored: Vec<u64>,
    text: OnceCell<String>,
}

impl StoredText {
    /// The text.
    pub fn into_string(self) -> String {
        let text = self.text.get().is_none().then(|| self.expand());
        text.or_else(|| self.text.into_inner()).unwrap_or_default()
    }

    fn expand(&self) -> String {
        let stored = self.stored.as_ptr().cast::<pg_sys::varlena>().cast_mut();
        // SAFETY: a whole value of type text, in a database whose encoding is UTF-8; what comes back is that
        // very value or a new one.
        unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(stored);
            let text = pgrx::varlena::text_to_rust_str_unchecked(plain).to_owned();
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
            text
        }
    }
}

impl From<String> for StoredText {
    fn from(text: String) -> Self {
        Self { stored: Vec::new(), text: OnceCell::from(text) }
    }
}

impl Deref for StoredText {
    type Target = str;

    fn deref(&self) -> &str {
        self.text.get_or_init(|| self.expand())
    }
}

impl FromDatum for StoredText {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        let value = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller says that this is a text, whose header tells its size.
        let stored = unsafe {
            let size = pgrx::varlena::varsize_any(value);
            let mut stored = vec![0_u64; size.div_ceil(size_of::<u64>())];
            value.cast::<u8>().copy_to_nonoverlapping(stored.as_mut_ptr().cast(), size);
            stored
        };
        Some(Self { stored, text: OnceCell::new() })
    }
}

impl IntoDatum for StoredText {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.into_string().into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}
