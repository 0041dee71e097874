//! `jsonb` values: arguments whose text may be more than a JSON reader takes, and results.
#![allow(unsafe_code)] // reads a datum

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::{impl_sql_translatable, pg_sys};
use rag::{Error, Result, memory};
use serde_json::Value;
use std::ffi::CStr;

/// Most bytes of an argument's text. A value takes sixteen times as much memory once it is read.
const MAX_JSON_BYTES: usize = 4 << 20;

/// A `jsonb` argument as text. pgrx's own type panics where its reader gives up, on deep nesting for one.
pub struct JsonText {
    /// Nothing where there is more of it than is read.
    text: String,
    length: usize,
}

impl_sql_translatable!(JsonText, "jsonb");

// SAFETY: PostgreSQL passes a jsonb where the declaration says so.
unsafe impl<'fcx> ArgAbi<'fcx> for JsonText {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above; jsonb_out returns a C string, which is copied. A NULL never gets here.
        unsafe {
            let datum = arg.unbox_arg_using_from_datum::<pgrx::AnyElement>();
            let datum = datum.expect("an argument that is not NULL").datum();
            let text = pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(datum)]);
            let text = CStr::from_ptr(text.expect("jsonb_out returns a text").cast_mut_ptr());
            let length = text.count_bytes();
            let text = if length > MAX_JSON_BYTES { c"" } else { text };
            Self { text: text.to_string_lossy().into_owned(), length }
        }
    }
}

impl JsonText {
    /// The value; an error when it is too large or nested too deeply to read.
    pub fn parse(&self) -> Result<Value> {
        if self.length > MAX_JSON_BYTES {
            return Err(Error::too_large("the JSON argument is too large")
                .with_detail(format!("It has {} bytes of {MAX_JSON_BYTES}.", self.length))
                .with_hint("Shorten its lists; a join with a table can take their place."));
        }
        memory::require(16 * self.text.len())?;
        serde_json::from_str(&self.text).map_err(|error| {
            Error::invalid_argument("could not read the JSON argument")
                .with_detail(error.to_string())
                .with_hint("Nest it less deeply.")
        })
    }
}

/// A JSON object without the keys whose value is null: what something lacks, such as a page, is left out.
pub fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(entries) = &mut value {
        entries.retain(|_, value| !value.is_null());
    }
    value
}
