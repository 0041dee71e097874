//! Term statistics: how many chunks hold each of the question's lexemes. Under row security they come from nothing but what
//! the caller may see.
use crate::search::engine::lexical::{Entries, encoding, read_partials, sample};
use crate::search::engine::request::Request;
use crate::search::engine::strategy::{ChunkAccess, Strategy};
use crate::sys::relation_size;
use rag::search::partial_results::{self, Term, rarest_terms, seen};

/// Chunks of a sample, and of a larger one where hardly any of them are visible.
const SAMPLES: [usize; 2] = [600, 3_600];
/// How many visible ones are enough to estimate frequencies.
const ENOUGH_VISIBLE: usize = 20;

/// What is known of the terms before the lexical leg runs.
pub struct TermStatistics {
    /// Share of the chunks that the statistics are of: those that filter and policies let pass, as estimated by a sample; else 1.
    pub share: f64,
    /// Chunks that the frequencies are of.
    pub documents: f64,
    /// The question's lexemes and their frequencies.
    pub terms: Vec<Term>,
}

/// The question's statistics, estimated once. `None` under row security where no leg needs an estimate: an allow-list has all
/// chunks that pass, so that frequencies are counted.
pub fn statistics<'a>(request: &'a Request, strategy: &Strategy) -> Option<&'a TermStatistics> {
    let known = request.statistics.get();
    match strategy.access {
        _ if known.is_some() => known,
        _ if !request.has_policies => {
            Some(request.statistics.get_or_init(|| count_by_index(request)))
        }
        ChunkAccess::Indexes { selectivity, .. } if request.has_lexical_leg() => {
            let estimate = || estimate_by_sample(request, strategy.depth, selectivity.at_least);
            Some(request.statistics.get_or_init(estimate))
        }
        _ => None,
    }
}

/// The question's lexemes with unknown frequencies.
pub fn unknown_terms(request: &Request) -> Vec<Term> {
    let unknown = |lexeme: &String| Term { lexeme: lexeme.clone(), frequency: None };
    rarest_terms(request.question.lexemes.iter().map(unknown).collect())
}

/// By the index, which counts all chunks: only for callers to whom no row security applies.
fn count_by_index(request: &Request) -> TermStatistics {
    let documents = relation_size::rows(request.resolved.generation.chunks);
    let lexemes: Vec<&str> = request.question.lexemes.iter().map(String::as_str).collect();
    let entries = Entries::find(request, &lexemes);
    let share = |position| entries.count(position).map(|n| (n / documents).min(1.0) as f32);
    let lexemes = lexemes.iter().enumerate();
    let term =
        |(n, lexeme): (usize, &&str)| Term { lexeme: (*lexeme).to_owned(), frequency: share(n) };
    TermStatistics { share: 1.0, documents, terms: rarest_terms(lexemes.map(term).collect()) }
}

/// By a sample of the chunks that are visible and pass the filter, whose share is `at_least`. A lexeme that none of them holds
/// counts as held by half a chunk of the sample.
fn estimate_by_sample(request: &Request, depth: usize, at_least: f64) -> TermStatistics {
    let rows = relation_size::rows(request.resolved.generation.chunks);
    let encoding = encoding(&unknown_terms(request));
    let (mut sampled, mut visible, mut holding) = (0.0, 0, Vec::new());
    for count in SAMPLES {
        if visible < ENOUGH_VISIBLE && sampled < rows {
            sampled = rows.min(count as f64);
            (visible, holding) = count_in_sample(request, depth, &encoding, count);
        }
    }
    let share = (visible as f64 / sampled).max(at_least).clamp(1.0 / rows, 1.0);
    let mut terms = encoding.terms;
    for (term, holding) in terms.iter_mut().zip(holding) {
        term.frequency = Some(((holding as f32).max(0.5) / visible.max(1) as f32).min(1.0));
    }
    TermStatistics { share, documents: rows * share, terms }
}

/// Of a sample of so many chunks, how many are visible, and how many of those hold each term.
fn count_in_sample(
    request: &Request,
    depth: usize,
    encoding: &partial_results::FusionRequest,
    count: usize,
) -> (usize, Vec<usize>) {
    let template = statement!("search/partials");
    let tids = sample(request, &encoding.terms, count);
    let partials = read_partials(request, depth, template, &request.visible_sql(), |own| {
        own[1] = encoding.pack().into();
        own[5] = tids.into();
    });
    seen(encoding, &partials)
}
