//! Rows of statements, read into structs and without leaving copies of their values behind.
#![allow(unsafe_code)] // switches memory contexts

use crate::sys::datum::file::StoredFile;
use crate::sys::datum::text::StoredText;
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::datum::vector::Vector;
use crate::sys::error::raise;
use pgrx::datum::{TimestampWithTimeZone, Uuid};
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{FromDatum, IntoDatum, JsonB, PgMemoryContexts};
use rag::memory;
use std::time::Duration;

/// A column that may be NULL, by position from 1.
pub fn column<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData<'_>, position: usize) -> Option<T> {
    row.get::<T>(position).expect("the statement returns this type here")
}

/// A column that is never NULL, by position from 1.
pub fn required<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData<'_>, position: usize) -> T {
    column(row, position).expect("the statement never returns NULL here")
}

/// Declares a struct for the rows of a statement: one field for each column, with its name, in the statement's order. A column
/// that may be NULL is an `Option`. `read(&row)` reads by position; a debug build, which is what tests run, asserts that the
/// columns have the names of the fields.
///
/// ```ignore
/// row! {
///     struct IndexRow { oid: Oid, is_valid: bool, lists: Option<i32> }
/// }
/// query(statement!("ingest/vector_indexes"), &args, |row| IndexRow::read(&row))
/// ```
macro_rules! row {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($(#[$about:meta])* $access:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$attribute])*
        $visibility struct $name { $($(#[$about])* $access $field: $type),* }

        #[allow(dead_code)] // not every row is followed by further columns
        impl $name {
            $visibility const COLUMNS: usize = [$(stringify!($field)),*].len();

            $visibility fn read(row: &pgrx::spi::SpiHeapTupleData<'_>) -> Self {
                debug_assert!(row.columns() == Self::COLUMNS, "the statement has more columns");
                Self::read_first(row)
            }

            /// Reads the first columns of a row.
            $visibility fn read_first(row: &pgrx::spi::SpiHeapTupleData<'_>) -> Self {
                let mut columns = $crate::sys::rows::Columns::of(row);
                Self { $($field: columns.next(stringify!($field))),* }
            }
        }
    };
}
pub(crate) use row;

/// The columns of a row, from the first to the last.
pub struct Columns<'r, 'c> {
    row: &'r SpiHeapTupleData<'c>,
    position: usize,
}

impl<'r, 'c> Columns<'r, 'c> {
    pub fn of(row: &'r SpiHeapTupleData<'c>) -> Self {
        Self { row, position: 0 }
    }

    /// The next column, which has this name.
    pub fn next<T: ColumnType>(&mut self, name: &str) -> T {
        self.position += 1;
        debug_assert!(
            self.row
                .get_datum_by_name(name)
                .is_ok_and(|named| std::ptr::eq(named, &raw const self.row[self.position])),
            "column {} of the statement is not \"{name}\"",
            self.position
        );
        T::column(self.row, self.position)
    }
}

/// What a column is read as.
pub trait ColumnType {
    fn column(row: &SpiHeapTupleData<'_>, position: usize) -> Self;
}

impl<T: FromDatum + IntoDatum> ColumnType for Option<T> {
    fn column(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        column(row, position)
    }
}

macro_rules! columns {
    ($($type:ty),*) => {
        $(impl ColumnType for $type {
            fn column(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
                required(row, position)
            }
        })*
    };
}

columns!(
    bool,
    i16,
    i32,
    i64,
    f32,
    f64,
    String,
    Oid,
    Uuid,
    JsonB,
    TimestampWithTimeZone,
    StoredFile,
    StoredText,
    StoredTsVector,
    Vector
);
columns!(Vec<u8>, Vec<i32>, Vec<i64>, Vec<f32>, Vec<f64>, Vec<String>, Vec<Oid>);

/// A number that is never negative.
impl ColumnType for u32 {
    fn column(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        Self::try_from(required::<i32>(row, position)).unwrap_or_default()
    }
}

/// Seconds as `float8`.
impl ColumnType for Duration {
    fn column(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        Self::from_secs_f64(required::<f64>(row, position).max(0.0))
    }
}

/// Runs `read`, which reads values of rows as values of Rust's. pgrx copies what it reads into the parent of the
/// context in force, which under SPI is the transaction's: a session that calls us in a loop would grow with every row
/// until it commits. Here that parent is the connection's memory, or whatever context was in force.
pub fn reading<R>(read: impl FnOnce() -> R) -> R {
    let mut context = PgMemoryContexts::new("rag_pg values");
    // SAFETY: what is returned is Rust's, not allocated in the context.
    unsafe { context.switch_to(|_| read()) }
}

/// Adds a row to those that were read; an ERROR where memory runs out.
pub fn keep<T>(rows: &mut Vec<T>, row: T) {
    memory::push(rows, row);
    memory::check().unwrap_or_else(|error| raise(error));
}
