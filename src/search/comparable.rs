//! Types whose values a filter compares: their operators, and values read by their own input functions.
#![allow(unsafe_code)] // reads system caches and calls input functions

use crate::sys::names;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use rag::search::filter::Comparison;
use rag::{Error, Result};
use serde_json::Value;
use std::ffi::CString;

/// A type with at least an equality operator.
pub struct Comparable {
    column: String,
    /// The type, beneath any domains.
    type_oid: pg_sys::Oid,
    array: pg_sys::Oid,
    equality: pg_sys::Oid,
    family: pg_sys::Oid,
    family_type: pg_sys::Oid,
}

impl Comparable {
    /// The type of a column; an error when its values cannot be compared.
    pub fn of(column: &str, type_oid: pg_sys::Oid) -> Result<Self> {
        // SAFETY: cache look-ups inside a transaction; the entry lives as long as the backend.
        let (type_oid, array, entry) = unsafe {
            let type_oid = pg_sys::getBaseType(type_oid);
            let flags = pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_BTREE_OPFAMILY;
            let entry = pg_sys::lookup_type_cache(type_oid, flags as i32);
            (type_oid, pg_sys::get_array_type(type_oid), &*entry)
        };
        if entry.eq_opr == pg_sys::InvalidOid {
            return Err(Error::wrong_type(format!(
                "values of column \"{column}\" cannot be compared"
            ))
            .with_hint("Filter by a column whose type has an equality operator."));
        }
        if has_domain(type_oid) {
            return Err(Error::wrong_type(format!(
                "the type of column \"{column}\" has a domain inside"
            ))
            .with_detail("To read a value of it would run the domain's constraints, code of the table's owner, as whoever searches.")
            .with_hint("Filter by another column."));
        }
        Ok(Self {
            column: column.to_owned(),
            type_oid,
            array,
            equality: entry.eq_opr,
            family: entry.btree_opf,
            family_type: entry.btree_opintype,
        })
    }

    /// SQL of an operator, qualified; an error when the type has no order.
    pub fn operator(&self, comparison: Comparison) -> Result<String> {
        let strategy = match comparison {
            Comparison::Equal | Comparison::Different => return named(self.equality),
            Comparison::Less => pg_sys::BTLessStrategyNumber,
            Comparison::AtMost => pg_sys::BTLessEqualStrategyNumber,
            Comparison::AtLeast => pg_sys::BTGreaterEqualStrategyNumber,
            Comparison::Greater => pg_sys::BTGreaterStrategyNumber,
        };
        let kind = self.family_type;
        // SAFETY: a cache look-up inside a transaction; an invalid family has no members.
        let operator =
            unsafe { pg_sys::get_opfamily_member(self.family, kind, kind, strategy as i16) };
        if operator == pg_sys::InvalidOid {
            return Err(Error::wrong_type(format!(
                "values of column \"{}\" have no order",
                self.column
            ))
            .with_hint("Test it with eq, ne, in or exists."));
        }
        named(operator)
    }

    /// A JSON scalar as a value of the type. Raises what the type's input function raises.
    pub fn read(&self, value: &Value) -> DatumWithOid<'static> {
        input(&self.text_of(value), self.type_oid)
    }

    /// JSON scalars as an array of the type; `None` for types that have no arrays, as arrays themselves.
    pub fn read_list(&self, list: &[&Value]) -> Option<DatumWithOid<'static>> {
        if self.array == pg_sys::InvalidOid {
            return None;
        }
        let mut literal = String::from("{");
        for (i, value) in list.iter().enumerate() {
            if i > 0 {
                literal.push(',');
            }
            literal.push('"');
            for c in self.text_of(value).chars() {
                if matches!(c, '"' | '\\') {
                    literal.push('\\');
                }
                literal.push(c);
            }
            literal.push('"');
        }
        literal.push('}');
        Some(input(&literal, self.array))
    }

    fn text_of(&self, value: &Value) -> String {
        if self.type_oid == pg_sys::JSONBOID { value.to_string() } else { values::text_of(value) }
    }
}

/// Whether elements, fields or bounds of a type's values are of a domain. One around the type itself is left aside: its base
/// type is what is read.
fn has_domain(type_oid: pg_sys::Oid) -> bool {
    let is_or_has = |inner: pg_sys::Oid| {
        // SAFETY: a cache look-up inside a transaction.
        let is_domain = unsafe { pg_sys::get_typtype(inner) } as u8 == pg_sys::TYPTYPE_DOMAIN;
        is_domain || has_domain(inner)
    };
    // SAFETY: cache look-ups inside a transaction; a type of kind 'c' has a row type, which is copied.
    unsafe {
        let element = pg_sys::get_element_type(type_oid);
        if element != pg_sys::InvalidOid {
            return is_or_has(element);
        }
        match pg_sys::get_typtype(type_oid) as u8 {
            pg_sys::TYPTYPE_COMPOSITE => {
                let fields = pg_sys::lookup_rowtype_tupdesc_copy(type_oid, -1);
                let fields = pgrx::PgTupleDesc::from_pg_is_copy(fields);
                fields.iter().any(|field| !field.attisdropped && is_or_has(field.atttypid))
            }
            pg_sys::TYPTYPE_RANGE => is_or_has(pg_sys::get_range_subtype(type_oid)),
            pg_sys::TYPTYPE_MULTIRANGE => is_or_has(pg_sys::get_multirange_range(type_oid)),
            _ => false,
        }
    }
}

/// Reads a text as a value of a type, without modifier: a filter's value is compared, not stored.
fn input(text: &str, type_oid: pg_sys::Oid) -> DatumWithOid<'static> {
    let text = CString::new(text).expect("jsonb holds no zero character");
    // SAFETY: the input function of the type reads a C string; the value lies in this memory context.
    unsafe {
        let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::getTypeInputInfo(type_oid, &raw mut function, &raw mut parameter);
        let text = text.as_ptr().cast_mut();
        let datum = pg_sys::OidInputFunctionCall(function, text, parameter, -1);
        DatumWithOid::new(datum, type_oid)
    }
}

fn named(operator: pg_sys::Oid) -> Result<String> {
    names::operator(operator).ok_or_else(|| {
        Error::conflict("an operator that the filter needs was dropped meanwhile")
            .with_hint("Try again.")
    })
}

/// Values and columns as the filter's compiler needs them.
pub mod values {
    use pgrx::datum::DatumWithOid;
    use pgrx::{FromDatum, IntoDatum, pg_sys};
    use serde_json::Value;
    use std::ffi::{CStr, CString};

    /// A JSON scalar as the text that input functions read.
    pub fn text_of(value: &Value) -> String {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// A value as an argument of its type.
    pub fn typed(value: impl IntoDatum, type_oid: pg_sys::Oid) -> DatumWithOid<'static> {
        // SAFETY: callers pass the type that the value's datum has.
        unsafe { DatumWithOid::new(value, type_oid) }
    }

    /// The same argument, for another statement of this call.
    pub fn copied(argument: &DatumWithOid<'static>) -> DatumWithOid<'static> {
        // SAFETY: the datum lives in the memory context of the function's call, beyond its statements.
        unsafe { DatumWithOid::new_from_datum(argument.datum(), argument.oid()) }
    }

    /// A value of any type as text, by the type's output function and never by a user-defined cast.
    pub struct Output(pub String);

    impl FromDatum for Output {
        unsafe fn from_polymorphic_datum(
            datum: pg_sys::Datum,
            is_null: bool,
            type_oid: pg_sys::Oid,
        ) -> Option<Self> {
            if is_null {
                return None;
            }
            // SAFETY: the output function of a value's own type reads it; the C string is copied.
            unsafe {
                let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
                pg_sys::getTypeOutputInfo(type_oid, &raw mut function, &raw mut is_varlena);
                let text = CStr::from_ptr(pg_sys::OidOutputFunctionCall(function, datum));
                Some(Self(text.to_string_lossy().into_owned()))
            }
        }
    }

    // pgrx asks for this to read a column, although none is ever written.
    impl IntoDatum for Output {
        fn into_datum(self) -> Option<pg_sys::Datum> {
            self.0.into_datum()
        }

        fn type_oid() -> pg_sys::Oid {
            pg_sys::TEXTOID
        }

        fn is_compatible_with(_: pg_sys::Oid) -> bool {
            true
        }
    }

    /// Type of a column of this name; `None` when there is none that a user could name.
    pub fn column_type(table: pg_sys::Oid, name: &str) -> Option<pg_sys::Oid> {
        let name = CString::new(name).ok().filter(|name| name.as_bytes().len() < 64)?;
        // SAFETY: cache look-ups inside a transaction. System columns have negative numbers.
        unsafe {
            let number = pg_sys::get_attnum(table, name.as_ptr());
            (number > 0).then(|| pg_sys::get_atttype(table, number))
        }
    }

    /// Names of a table's columns.
    pub fn column_names(table: pg_sys::Oid) -> Vec<String> {
        let sql = statement!("search/load_columns");
        crate::sys::plan::read(sql, &[table.into()], |row| crate::sys::spi::required(row, 1))
    }
}
