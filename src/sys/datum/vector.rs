//! pgvector's `vector` and `vector[]`, read and written by their layout in memory.
#![allow(unsafe_code)] // Datums are raw memory.
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum};
use pgrx::{PgTupleDesc, impl_sql_translatable, pg_sys};
use std::ffi::c_int;
use std::ptr::NonNull;

/// Most dimensions pgvector's type holds.
pub const MAX_DIMENSIONS: usize = 16_000;

/// What stands before a vector's floats: `int32 vl_len_; int16 dim; int16 unused`.
#[repr(C)]
struct Header {
    varlena: u32,
    dim: u16,
    unused: u16,
}

/// A `vector`.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector(pub Vec<f32>);

/// A `vector[]` with possible NULLs; a result type only.
#[derive(Debug)]
pub struct VectorArray(pub Vec<Option<Vector>>);

/// A row of what a text or texts became and the fingerprint of the model; a result type only, of functions with these
/// two OUT arguments.
#[derive(Debug)]
pub struct Embedded<T> {
    /// A vector, or vectors.
    pub embedding: T,
    /// Fingerprint of the model.
    pub fingerprint: String,
}

impl_sql_translatable!(Vector, "vector");
impl_sql_translatable!(Embedded<Vector>, "record");
impl_sql_translatable!(Embedded<VectorArray>, "record");

impl FromDatum for Vector {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller gives a datum of type vector: a varlena, which detoasting makes one
        // aligned block of header and floats. A copy that detoasting made is ours to free.
        unsafe {
            let raw: *mut pg_sys::varlena = datum.cast_mut_ptr();
            let flat = NonNull::new(pg_sys::pg_detoast_datum(raw))?;
            let header = flat.cast::<Header>();
            let dim = usize::from(header.as_ref().dim);
            let size = pgrx::varsize(flat.as_ptr());
            assert_eq!(size, size_of::<Header>() + size_of::<f32>() * dim, "not a vector");
            let floats = header.add(1).cast::<f32>();
            let vector = std::slice::from_raw_parts(floats.as_ptr(), dim).to_vec();
            if flat.as_ptr() != raw {
                pg_sys::pfree(flat.as_ptr().cast());
            }
            Some(Self(vector))
        }
    }
}

impl IntoDatum for Vector {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let dim = u16::try_from(self.0.len()).ok().filter(|&d| usize::from(d) <= MAX_DIMENSIONS);
        let dim = dim.expect("a model's dimensions are checked before it runs");
        let size = size_of::<Header>() + size_of::<f32>() * self.0.len();
        // SAFETY: palloc0 gives `size` zeroed bytes, aligned for floats, or raises an ERROR; the
        // header and the floats fill them exactly.
        unsafe {
            let block = pg_sys::palloc0(size).cast::<Header>();
            pgrx::set_varsize_4b(block.cast(), size as i32);
            (&raw mut (*block).dim).write(dim);
            let floats = block.add(1).cast::<f32>();
            std::ptr::copy_nonoverlapping(self.0.as_ptr(), floats, self.0.len());
            Some(pg_sys::Datum::from(block))
        }
    }

    /// The type has no fixed OID; SPI parameters are passed as `real[]` and cast.
    fn type_oid() -> pg_sys::Oid {
        pg_sys::Oid::INVALID
    }

    fn is_compatible_with(_: pg_sys::Oid) -> bool {
        true
    }
}

// SAFETY: the datum is read by `from_polymorphic_datum`, which copies.
unsafe impl<'fcx> ArgAbi<'fcx> for Vector {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the SQL declaration makes the argument a vector; a NULL one is an Option's None.
        unsafe { arg.unbox_arg_using_from_datum().expect("the argument is not NULL") }
    }
}

/// What can be a column of [`Embedded`].
trait Column {
    /// The value, of the type that the function declares.
    ///
    /// # Safety
    /// `declared` is the OID of pgvector's type of that name.
    unsafe fn into_column(self, declared: pg_sys::Oid) -> pg_sys::Datum;
}

impl Column for Vector {
    unsafe fn into_column(self, _: pg_sys::Oid) -> pg_sys::Datum {
        self.into_datum().unwrap_or_else(pg_sys::Datum::null)
    }
}

impl Column for VectorArray {
    unsafe fn into_column(self, declared: pg_sys::Oid) -> pg_sys::Datum {
        // SAFETY: the elements of vector[] are vectors.
        unsafe { construct_array(self.0, pg_sys::get_element_type(declared)) }
    }
}

// SAFETY: returns a row of the columns that the called function declares as OUT arguments.
unsafe impl<T: Column> BoxRet for Embedded<T> {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: inside a function call. OUT arguments make up a row type that PostgreSQL registers; the first is of
        // the vector's type, the second text.
        unsafe {
            let (call, mut row) = (fcinfo.as_mut_ptr(), std::ptr::null_mut());
            pg_sys::get_call_result_type(call, std::ptr::null_mut(), &raw mut row);
            let columns = PgTupleDesc::from_pg_unchecked(row);
            let declared = columns.get(0).map_or(pg_sys::InvalidOid, |first| first.atttypid);
            let embedding = self.embedding.into_column(declared);
            let fingerprint = self.fingerprint.into_datum().unwrap_or_else(pg_sys::Datum::null);
            let (mut values, mut nulls) = ([embedding, fingerprint], [false; 2]);
            let tuple = pg_sys::heap_form_tuple(row, values.as_mut_ptr(), nulls.as_mut_ptr());
            fcinfo.return_raw_datum(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data))
        }
    }
}

/// # Safety
/// `element` is the OID of pgvector's `vector`.
unsafe fn construct_array(vectors: Vec<Option<Vector>>, element: pg_sys::Oid) -> pg_sys::Datum {
    if vectors.is_empty() {
        // SAFETY: an array of no elements needs nothing but their type.
        return unsafe { pg_sys::Datum::from(pg_sys::construct_empty_array(element)) };
    }
    let mut nulls: Vec<bool> = vectors.iter().map(Option::is_none).collect();
    let mut datums: Vec<pg_sys::Datum> = vectors
        .into_iter()
        .map(|v| v.and_then(IntoDatum::into_datum).unwrap_or_else(pg_sys::Datum::null))
        .collect();
    let (mut length, mut by_value, mut align): (i16, bool, std::ffi::c_char) = (0, false, 0);
    let (mut count, mut lower): (c_int, c_int) = (datums.len() as c_int, 1);
    // SAFETY: both slices have `count` entries; the type's properties come from the catalog.
    unsafe {
        pg_sys::get_typlenbyvalalign(element, &raw mut length, &raw mut by_value, &raw mut align);
        let array = pg_sys::construct_md_array(
            datums.as_mut_ptr(),
            nulls.as_mut_ptr(),
            1,
            &raw mut count,
            &raw mut lower,
            element,
            c_int::from(length),
            by_value,
            align,
        );
        pg_sys::Datum::from(array)
    }
}
