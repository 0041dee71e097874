//! Reading rows: values by position, or one struct per statement; and no copies of the values left behind.
#![allow(unsafe_code)] // switches memory contexts

use crate::sys::datum::text::StoredText;
use crate::sys::datum::vector::Vector;
use pgrx::datum::{TimestampWithTimeZone, Uuid};
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{FromDatum, IntoDatum, JsonB, PgMemoryContexts};
use std::time::Duration;

/// Runs `read`, which reads values of rows as values of Rust's. pgrx copies what it reads into the parent of the
/// context in force, which under SPI is the transaction's: a session that calls us in a loop would grow with every row
/// until it commits. Here that parent is the connection's memory, or whatever context was in force.
pub fn reading<R>(read: impl FnOnce() -> R) -> R {
    let mut context = PgMemoryContexts::new("rag_pg values");
    // SAFETY: what is returned is Rust's, not allocated in the context.
    unsafe { context.switch_to(|_| read()) }
}

/// A column that may be NULL, by position from 1.
pub fn column<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData<'_>, position: usize) -> Option<T> {
    row.get::<T>(position).expect("the statement returns this type here")
}

/// A column that is never NULL, by position from 1.
pub fn required<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData<'_>, position: usize) -> T {
    column(row, position).expect("the statement never returns NULL here")
}

/// A struct that one row of a statement is read into, see [`row`].
pub trait Row {
    /// Columns that the struct has.
    const COLUMNS: usize;

    /// Reads a row. Further columns may follow.
    fn read(row: &SpiHeapTupleData<'_>) -> Self;
}

/// Declares a struct and its [`Row`]. Its fields are, by order and name, the statement's first columns; a field that is no
/// `Option` is never NULL. Columns are read by position, which is quicker; with debug assertions their names are compared.
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$about])* pub $field: $type,)* }

        impl $crate::sys::rows::Row for $name {
            const COLUMNS: usize = [$(stringify!($field)),*].len();

            fn read(row: &pgrx::spi::SpiHeapTupleData<'_>) -> Self {
                let mut columns = $crate::sys::rows::Columns::new(row);
                Self { $($field: columns.next(stringify!($field)),)* }
            }
        }
    };
}
pub(crate) use row;

/// The columns of a row, one after the other.
pub struct Columns<'a, 'c> {
    row: &'a SpiHeapTupleData<'c>,
    position: usize,
}

impl<'a, 'c> Columns<'a, 'c> {
    /// From the first one on.
    pub fn new(row: &'a SpiHeapTupleData<'c>) -> Self {
        Self { row, position: 0 }
    }

    /// The next one, whose name is `name`.
    pub fn next<T: ColumnValue>(&mut self, name: &str) -> T {
        self.position += 1;
        debug_assert!(
            self.row.get_datum_by_name(name).is_ok_and(|named| {
                let next = self.row.get_datum_by_ordinal(self.position);
                next.is_ok_and(|next| std::ptr::eq(named, next))
            }),
            "column {} of the statement is not \"{name}\"",
            self.position
        );
        T::read(self.row, self.position)
    }
}

/// A value of a column: of a type, or of an `Option` of it where NULL may be.
pub trait ColumnValue {
    /// Reads it, by position from 1.
    fn read(row: &SpiHeapTupleData<'_>, position: usize) -> Self;
}

impl<T: FromDatum + IntoDatum> ColumnValue for Option<T> {
    fn read(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        column(row, position)
    }
}

macro_rules! column_values {
    ($($type:ty),*) => {
        $(impl ColumnValue for $type {
            fn read(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
                required(row, position)
            }
        })*
    };
}
column_values!(bool, i32, i64, f64, String, Oid, Uuid, JsonB, TimestampWithTimeZone);
column_values!(Vec<String>, Vec<u8>, StoredText, Vector);

/// A number that is never negative.
impl ColumnValue for u32 {
    fn read(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        Self::try_from(required::<i32>(row, position)).unwrap_or_default()
    }
}

/// Seconds as `float8`.
impl ColumnValue for Duration {
    fn read(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        Self::from_secs_f64(required::<f64>(row, position).max(0.0))
    }
}
