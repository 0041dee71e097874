//! PostgreSQL's text search, called without SQL: what a text's lexemes are, and what a query is.
#![allow(unsafe_code)] // calls C functions of PostgreSQL by their documented signatures

use crate::sys::datum::tsvector::TsVector;
use pgrx::datum::DatumWithOid;
use pgrx::{IntoDatum, direct_function_call_as_datum, pg_sys};
use rag::search::analysis::{for_documents, for_phrases, for_queries};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// `pg_ts_parser.oid` of PostgreSQL's own parser, the same in every database.
const DEFAULT_PARSER: pg_sys::Oid = pg_sys::Oid::from_u32(3722);

/// A text search configuration.
#[derive(Debug, Clone, Copy)]
pub struct Config(pg_sys::Oid);

impl Config {
    /// The configuration of this name, qualified and quoted; raises 42704 when it is gone.
    pub fn named(name: &str) -> Self {
        // SAFETY: regconfigin takes a C string and returns an OID.
        let datum = unsafe { call(pg_sys::regconfigin, &[Some(cstring(name))]) };
        Self(pg_sys::Oid::from(datum.value() as u32))
    }

    /// The configuration of this number.
    pub fn of(config: pg_sys::Oid) -> Self {
        Self(config)
    }

    /// Whether words are what PostgreSQL's own parser takes for words, which it finds by spaces. Other
    /// parsers exist for the very purpose of doing better.
    pub fn is_parted_by_spaces(self) -> bool {
        // SAFETY: a cache look-up inside a transaction, which raises an error when there is no such
        // configuration; the entry lives as long as the backend.
        unsafe { (*pg_sys::lookup_ts_config_cache(self.0)).prsId == DEFAULT_PARSER }
    }

    /// A text as [`rag::search::analysis`] has it, unless a parser of another kind does that work.
    fn analysed(self, text: &str, analysis: fn(&str) -> String) -> Cow<'_, str> {
        if self.is_parted_by_spaces() { analysis(text).into() } else { text.into() }
    }

    /// The distinct lexemes of `text`, any of which is to be looked for, in ascending order of their bytes.
    pub fn lexemes(self, text: &str) -> BTreeSet<String> {
        self.lexemes_of(&self.analysed(text, for_queries))
    }

    /// The distinct lexemes of `text`, all of which are to be looked for as they stand.
    pub fn phrase_lexemes(self, text: &str) -> BTreeSet<String> {
        self.lexemes_of(&self.analysed(text, for_phrases))
    }

    /// What `read` makes of the lexemes that the index has of a document of this text.
    pub fn with_document<R>(self, text: &str, read: impl FnOnce(&TsVector<'_>) -> R) -> R {
        self.with_vector(&self.analysed(text, for_documents), read)
    }

    fn lexemes_of(self, text: &str) -> BTreeSet<String> {
        self.with_vector(text, |vector| {
            let lexemes =
                vector.lexemes().map(|(lexeme, _)| String::from_utf8_lossy(lexeme).into_owned());
            lexemes.collect()
        })
    }

    fn with_vector<R>(self, text: &str, read: impl FnOnce(&TsVector<'_>) -> R) -> R {
        // SAFETY: to_tsvector takes a configuration and a text, and returns a tsvector of this
        // memory context, which is read before anything can free it.
        let vector = unsafe {
            let datum = call(pg_sys::to_tsvector_byid, &[self.datum(), text.into_datum()]);
            TsVector::from_varlena(pg_sys::pg_detoast_datum(datum.cast_mut_ptr()))
        };
        read(&vector)
    }

    /// A `tsquery` in its text form for `words` as they stand, one behind the other; `None` when none
    /// of them means anything.
    pub fn phrase(self, words: &str) -> Option<String> {
        // Of stop words alone nothing would be left, and PostgreSQL would say so in a NOTICE.
        if self.phrase_lexemes(words).is_empty() {
            return None;
        }
        let quoted = format!("\"{}\"", self.analysed(words, for_phrases).replace('"', " "));
        // SAFETY: takes a configuration and a text, returns a tsquery; tsqueryout takes that and
        // returns a C string of this memory context.
        let text = unsafe {
            let arguments = [self.datum(), quoted.into_datum()];
            let query = call(pg_sys::websearch_to_tsquery_byid, &arguments);
            let text = call(pg_sys::tsqueryout, &[Some(query)]);
            CStr::from_ptr(text.cast_mut_ptr()).to_string_lossy().into_owned()
        };
        (!text.is_empty()).then_some(text)
    }

    fn datum(self) -> Option<pg_sys::Datum> {
        self.0.into_datum()
    }
}

/// A `tsquery` from its text form, as an argument of a statement. NULL for no query.
pub fn tsquery(text: Option<&str>) -> DatumWithOid<'static> {
    let Some(text) = text else { return DatumWithOid::null_oid(pg_sys::TSQUERYOID) };
    // SAFETY: the datum is of this type.
    unsafe { DatumWithOid::new(tsquery_datum(text), pg_sys::TSQUERYOID) }
}

/// A `tsquery` of this memory context from its text form.
pub fn tsquery_datum(text: &str) -> pg_sys::Datum {
    // SAFETY: tsqueryin takes a C string and returns a tsquery.
    unsafe { call(pg_sys::tsqueryin, &[Some(cstring(text))]) }
}

fn cstring(text: &str) -> pg_sys::Datum {
    let text = CString::new(text).expect("text of PostgreSQL holds no zero byte");
    // SAFETY: copies into this memory context.
    pg_sys::Datum::from(unsafe { pg_sys::pstrdup(text.as_ptr()) })
}

/// # Safety
/// The arguments are what `function` takes.
unsafe fn call(
    function: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
    arguments: &[Option<pg_sys::Datum>],
) -> pg_sys::Datum {
    // SAFETY: as promised.
    unsafe { direct_function_call_as_datum(function, arguments) }
        .expect("text search functions never return NULL")
}
