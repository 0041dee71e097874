//! PostgreSQL's `tsvector`, read by its layout: a count, that many entries in ascending order of their
//! lexemes' bytes, the lexemes, and behind each its positions.
#![allow(unsafe_code)] // takes a pointer from a call of a function

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::{FromDatum, IntoDatum, impl_sql_translatable, pg_sys};

/// An argument of type `tsvector`.
pub struct TsVector<'fcx> {
    /// Everything behind the length word.
    bytes: &'fcx [u8],
}

impl_sql_translatable!(TsVector<'_>, "tsvector");

// SAFETY: PostgreSQL passes a tsvector where the declaration says so; what detoasting allocates lives
// as long as the call.
unsafe impl<'fcx> ArgAbi<'fcx> for TsVector<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above; the function is strict, so there is a value.
        let datum = unsafe { arg.unbox_arg_using_from_datum::<pg_sys::Datum>() };
        let pointer = datum.expect("a strict function gets no NULL").cast_mut_ptr();
        // SAFETY: a detoasted varlena with a four-byte header.
        unsafe { Self::from_varlena(pg_sys::pg_detoast_datum(pointer)) }
    }
}

impl<'a> TsVector<'a> {
    /// # Safety
    /// `varlena` is a detoasted `tsvector` that lives for `'a`.
    pub unsafe fn from_varlena(varlena: *const pg_sys::varlena) -> Self {
        // SAFETY: as promised; the size counts the length word.
        let bytes = unsafe {
            let size = pgrx::varsize_4b(varlena) - size_of::<u32>();
            std::slice::from_raw_parts(varlena.cast::<u8>().add(size_of::<u32>()), size)
        };
        Self { bytes }
    }

    /// Lexemes in ascending order of their bytes, each with the number of its positions (1 where it has
    /// none).
    pub fn lexemes(&self) -> impl Iterator<Item = (&'a [u8], usize)> + Clone + use<'a> {
        let bytes = self.bytes;
        let count = word(bytes, 0) as usize;
        let strings = bytes.get(4 + 4 * count..).unwrap_or_default();
        (0..count).map_while(move |i| {
            let entry = WordEntry::from(word(bytes, 4 + 4 * i));
            let lexeme = strings.get(entry.start..entry.start + entry.length)?;
            let occurrences = if entry.has_positions {
                let at = (entry.start + entry.length).next_multiple_of(2);
                usize::from(u16::from_ne_bytes(strings.get(at..at + 2)?.try_into().ok()?))
            } else {
                1
            };
            Some((lexeme, occurrences.max(1)))
        })
    }
}

/// A column of type `tsvector`.
pub struct StoredTsVector(Vec<u8>);

impl StoredTsVector {
    /// One without lexemes.
    pub fn empty() -> Self {
        Self(vec![0; size_of::<u32>()])
    }

    pub fn as_tsvector(&self) -> TsVector<'_> {
        TsVector { bytes: &self.0 }
    }
}

impl FromDatum for StoredTsVector {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller says that this is a tsvector. What is detoasted is a value of its own, and freed.
        unsafe {
            let plain = pg_sys::pg_detoast_datum(stored);
            let bytes = TsVector::from_varlena(plain).bytes.to_vec();
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
            Some(Self(bytes))
        }
    }
}

/// Only read.
impl IntoDatum for StoredTsVector {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        unimplemented!("a tsvector is made by PostgreSQL alone")
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TSVECTOROID
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
}

/// A `WordEntry`: bit fields of 1, 11 and 20 bits, which C lays from the low end on little-endian
/// machines and from the high end on others.
struct WordEntry {
    has_positions: bool,
    length: usize,
    start: usize,
}

impl From<u32> for WordEntry {
    fn from(word: u32) -> Self {
        if cfg!(target_endian = "little") {
            Self {
                has_positions: word & 1 == 1,
                length: (word >> 1 & 0x7ff) as usize,
                start: (word >> 12) as usize,
            }
        } else {
            Self {
                has_positions: word >> 31 == 1,
                length: (word >> 20 & 0x7ff) as usize,
                start: (word & 0xf_ffff) as usize,
            }
        }
    }
}
