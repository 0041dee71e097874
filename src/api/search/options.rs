//! Named options of a search as SQL gives them.
#![allow(unsafe_code)] // reads the arguments of a call

use crate::search::options::{DEFAULT_TOP_K, MAX_CANDIDATES, Options};
use crate::sys::datum::json::JsonText;
use pgrx::callconv::{Arg, ArgAbi, Args, FcInfo};
use pgrx::{impl_sql_translatable, pg_sys};
use rag::search::Syntax;
use rag::search::conversation::{self, Turn, standalone};
use rag::search::filter::Filter;
use rag::{Error, Result};

/// Most chunks that one search returns, and most that one leg finds.
const MAX_COUNT: i64 = MAX_CANDIDATES as i64;

/// Most chunks on each side that come with one that was found.
const MAX_NEIGHBOURS: usize = 100;

/// [`Options`] as SQL gives them; `None` means the default. As an argument it stands for the arguments of these names and types,
/// in this order, behind the first two of a function.
#[derive(Default)]
pub struct SearchArguments {
    pub top_k: Option<i64>,
    pub filter: Option<JsonText>,
    pub rerank: Option<bool>,
    pub depth: Option<i64>,
    pub candidates: Option<i64>,
    pub dense_weight: Option<f64>,
    pub lexical_weight: Option<f64>,
    pub rerank_weight: Option<f64>,
    pub per_document: Option<i64>,
    pub near_duplicate: Option<f64>,
    pub expand: Option<i64>,
    pub syntax: Option<String>,
    pub min_relevance: Option<f64>,
    pub history: Option<JsonText>,
    pub partial: Option<bool>,
}

impl_sql_translatable!(SearchArguments, "the options of a search");

// SAFETY: reads each argument as the type that its declaration has, as `tests/signatures.rs` compares.
unsafe impl<'fcx> ArgAbi<'fcx> for SearchArguments {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the call that is under way; an argument is read as the type of its declaration.
        unsafe {
            let call = FcInfo::from_ptr(arg.unbox_unchecked::<pg_sys::FunctionCallInfo>());
            let mut arguments = call.args();
            arguments.nth(1);
            Self {
                top_k: next(&mut arguments),
                filter: next(&mut arguments),
                rerank: next(&mut arguments),
                depth: next(&mut arguments),
                candidates: next(&mut arguments),
                dense_weight: next(&mut arguments),
                lexical_weight: next(&mut arguments),
                rerank_weight: next(&mut arguments),
                per_document: next(&mut arguments),
                near_duplicate: next(&mut arguments),
                expand: next(&mut arguments),
                syntax: next(&mut arguments),
                min_relevance: next(&mut arguments),
                history: next(&mut arguments),
                partial: next(&mut arguments),
            }
        }
    }

    fn is_virtual_arg() -> bool {
        true
    }
}

/// # Safety
/// The next argument is of this type.
unsafe fn next<'fcx, T: ArgAbi<'fcx>>(arguments: &mut Args<'_, 'fcx>) -> Option<T> {
    // SAFETY: as promised; an `Option` can be NULL.
    unsafe { arguments.next_arg_unchecked::<Option<T>>().flatten() }
}

impl SearchArguments {
    /// Those that the functions of answers take; the others have their defaults.
    pub fn of_answer(
        top_k: Option<i64>,
        filter: Option<JsonText>,
        per_document: Option<i64>,
        near_duplicate: Option<f64>,
        expand: Option<i64>,
        history: Option<JsonText>,
    ) -> Self {
        Self { top_k, filter, per_document, near_duplicate, expand, history, ..Self::default() }
    }

    /// The options of a search for `query`, checked, with what the query takes from the history.
    pub fn read_for(mut self, query: &str) -> Result<Options> {
        let turns = turns(self.history.take())?;
        Ok(Options { standalone: standalone(query, &turns), ..self.read()? })
    }

    /// The options, checked.
    pub fn read(self) -> Result<Options> {
        let mut options = Options::top(count("top_k", self.top_k.unwrap_or(DEFAULT_TOP_K))?);
        if let Some(name) = &self.syntax {
            options.syntax = Syntax::named(name)?;
        }
        options.filter_text = self.filter.map(|filter| filter.parse()).transpose()?;
        options.filter = options.filter_text.as_ref().map(Filter::parse).transpose()?;
        options.rerank = self.rerank.unwrap_or(options.rerank);
        for (name, chosen, option) in [
            ("depth", self.depth, &mut options.depth),
            ("candidates", self.candidates, &mut options.candidates),
        ] {
            if let Some(chosen) = chosen {
                *option = count(name, chosen)?.max(options.top_k);
            }
        }
        let given = |name, chosen: Option<f64>| chosen.map(|one| weight(name, one)).transpose();
        options.dense_weight = given("dense_weight", self.dense_weight)?;
        options.rerank_weight = given("rerank_weight", self.rerank_weight)?;
        if let Some(chosen) = given("lexical_weight", self.lexical_weight)? {
            options.lexical_weight = chosen;
        }
        options.min_relevance = self.min_relevance.map(relevance).transpose()?;
        options.per_document = self.per_document.map(|n| count("per_document", n)).transpose()?;
        options.near_duplicate = self.near_duplicate.map(share).transpose()?;
        options.is_partial = self.partial.unwrap_or(false);
        options.expand = neighbours(self.expand.unwrap_or_default())?;
        if options.dense_weight == Some(0.0) && options.lexical_weight == 0.0 {
            return Err(Error::invalid_argument("dense_weight and lexical_weight are both 0")
                .with_hint("Give at least one of them a weight above 0."));
        }
        Ok(options)
    }
}

/// The turns of a history.
pub fn turns(history: Option<JsonText>) -> Result<Vec<Turn>> {
    history.map_or(Ok(Vec::new()), |history| conversation::read(&history.parse()?))
}

/// A number of things to find.
pub fn count(name: &str, value: i64) -> Result<usize> {
    if !(1..=MAX_COUNT).contains(&value) {
        return Err(Error::invalid_argument(format!("{name} must be between 1 and {MAX_COUNT}"))
            .with_detail(format!("It is {value}."))
            .with_hint(format!("Ask for up to {MAX_COUNT}, or filter for fewer documents.")));
    }
    Ok(usize::try_from(value).unwrap_or_default())
}

/// How alike two texts must be.
fn share(value: f64) -> Result<f64> {
    if value > 0.0 && value <= 1.0 {
        return Ok(value);
    }
    Err(Error::invalid_argument("near_duplicate must be above 0 and at most 1")
        .with_detail(format!("It is {value}."))
        .with_hint(
            "1 leaves out texts with the same words in the same order, 0.8 those with few others.",
        ))
}

/// How relevant a result must be.
fn relevance(value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid_argument("min_relevance must be between 0 and 1")
        .with_detail(format!("It is {value}."))
        .with_hint("0.5 leaves out what is more likely about something else."))
}

fn neighbours(value: i64) -> Result<usize> {
    usize::try_from(value).ok().filter(|count| *count <= MAX_NEIGHBOURS).ok_or_else(|| {
        Error::invalid_argument(format!("expand must be between 0 and {MAX_NEIGHBOURS}"))
            .with_detail(format!("It is {value}."))
            .with_hint("It is the number of chunks before and behind a chunk that come with it.")
    })
}

fn weight(name: &str, value: f64) -> Result<f64> {
    if (0.0..=1e6).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid_argument(format!("{name} must be between 0 and 1000000"))
        .with_detail(format!("It is {value}."))
        .with_hint("1 is the default; 0 leaves the signal out."))
}
