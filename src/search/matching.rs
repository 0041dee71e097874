//! Which chunks the lexical leg looks at: those that promise most, few enough to stay quick.
use super::legs::Term;
use super::query::{any_of, operand};

/// Terms of a question meet in a chunk more often than chance has it, rare ones the more so: of the chunks with one
/// term, the share with another is the latter's share of all to this power (1 if it were chance).
const CORRELATION: f64 = 0.75;
/// Most terms whose meetings are weighed against each other: the rarest of those too common to match alone.
const WEIGHED: usize = 8;
/// Most entries of the index that one search goes through: about 0.2 µs each.
const MOST_ENTRIES: f64 = 100_000.0;
/// Chunks that the lexical leg is meant to look at. About 2 µs each in a small collection, 4 in one of a million; more
/// find no better ones.
const MATCHES: f64 = 600.0;
/// Most chunks that are fetched for it, where not all pass.
pub const MOST_FETCHED: f64 = 6_000.0;

/// What the lexical leg looks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matching {
    /// A `tsquery` in its text form for the index; `None` where it would give far too many.
    pub indexed: Option<String>,
    /// A `tsquery` in its text form for some chunks of all, where `indexed` finds few after all.
    pub sampled: Option<String>,
    /// Chunks that `indexed` is expected to find, and that pass.
    pub expected: f64,
}

/// The chunks that are searched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Searched {
    /// Those in the index.
    pub indexed: f64,
    /// Share of them that filter and policies let pass.
    pub passing: f64,
}

impl Searched {
    /// Chunks that the index is meant to give.
    fn budget(self) -> f64 {
        (MATCHES / self.passing).min(MOST_FETCHED)
    }
}

/// What matches about so many chunks, or all that hold a term, whichever is less.
///
/// Rare terms match on their own, the rarest first. Of those too common for that, so many must meet that
/// their weights add up: the threshold is the lowest that few enough chunks pass, so that chunks
/// which BM25 would rank high are looked at first. A term of unknown frequency is rarer than those known.
/// Where even the highest threshold lets too many pass, or finding them would take going through too
/// much of the index, the common terms are looked for in a sample.
pub fn matching(terms: &[Term], searched: Searched) -> Matching {
    let mut terms: Vec<&Term> = terms.iter().collect();
    let given = |term: &Term| f64::from(term.frequency.unwrap_or(0.0)) * searched.indexed;
    terms.sort_by(|a, b| given(a).total_cmp(&given(b)));
    let mut left = searched.budget();
    let alone = terms.iter().take_while(|term| {
        let fits = given(term) <= left;
        left -= if fits { given(term) } else { 0.0 };
        fits
    });
    let (rare, common) = terms.split_at(alone.count());
    let meeting = Meetings::of(common).within(searched.indexed, left);
    let clauses = rare.iter().map(|term| operand(&term.lexeme));
    let clauses = clauses.chain(meeting.as_ref().map(|(clause, _)| clause.clone()));
    let clauses: Vec<String> = clauses.collect();
    let given = rare.iter().map(|term| given(term)).chain(meeting.map(|(_, given)| given));
    Matching {
        expected: given.sum::<f64>() * searched.passing,
        indexed: (!clauses.is_empty()).then(|| clauses.join(" | ")),
        sampled: any_of(common.iter().map(|term| &term.lexeme)),
    }
}

/// Common terms, rarest and thus weightiest first.
struct Meetings<'a> {
    terms: Vec<Common<'a>>,
}

/// A term that too many chunks hold.
struct Common<'a> {
    lexeme: &'a str,
    share: f64,
    weight: f64,
}

impl<'a> Meetings<'a> {
    fn of(common: &[&'a Term]) -> Self {
        let common = common.iter().take(WEIGHED).filter_map(|term| {
            let share = f64::from(term.frequency?).min(1.0);
            // Even a term that all chunks have is to be worth something.
            Some(Common { lexeme: &term.lexeme, share, weight: 0.01 - share.ln() })
        });
        Self { terms: common.collect() }
    }

    /// The lowest threshold that at most `most` of `indexed` chunks are expected to pass and whose passing takes
    /// no more than so many entries of the index: as a `tsquery`, with the number expected.
    fn within(&self, indexed: f64, most: f64) -> Option<(String, f64)> {
        let sets: Vec<Set> = (1..1 << self.terms.len()).map(|set| self.set(set)).collect();
        let mut thresholds: Vec<f64> = sets.iter().map(|set| set.weight).collect();
        thresholds.sort_by(f64::total_cmp);
        let fits = |threshold: f64| {
            let given = indexed * expected(&sets, threshold);
            let is_little = given <= most && indexed * self.entries(threshold) <= MOST_ENTRIES;
            is_little.then_some((threshold, given))
        };
        let (threshold, given) = thresholds.into_iter().find_map(fits)?;
        clause(&self.terms, threshold).map(|clause| (format!("({clause})"), given))
    }

    /// The terms whose bits are set.
    fn set(&self, bits: usize) -> Set {
        let members = self.terms.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
        let mut set = Set { weight: 0.0, lightest: 0.0, share: 1.0 };
        for (position, (_, term)) in members.enumerate() {
            set.weight += term.weight;
            set.lightest = term.weight;
            // Rarest first: of those that hold it, how many hold the others too.
            set.share *= if position == 0 { term.share } else { term.share.powf(CORRELATION) };
        }
        set
    }

    /// Share of the chunks that GIN looks at: those with a term without which the others do not reach the
    /// threshold. What else they hold it looks up.
    fn entries(&self, threshold: f64) -> f64 {
        let mut left: f64 = self.terms.iter().map(|term| term.weight).sum();
        let needed = self.terms.iter().take_while(|term| {
            let is_needed = reaches(left, threshold);
            left -= term.weight;
            is_needed
        });
        needed.map(|term| term.share).sum()
    }
}

/// Some of the terms.
struct Set {
    weight: f64,
    lightest: f64,
    /// Share of the chunks that hold all of them.
    share: f64,
}

/// Share of the chunks that hold terms of at least this weight together. Sets that would do without one of theirs are left
/// out: what holds them holds the smaller one.
fn expected(sets: &[Set], threshold: f64) -> f64 {
    let is_needed = |set: &&Set| {
        reaches(set.weight, threshold) && !reaches(set.weight - set.lightest, threshold)
    };
    sets.iter().filter(is_needed).map(|set| set.share).sum()
}

/// Sums of the same weights in another order may differ by a hair.
fn reaches(weight: f64, threshold: f64) -> bool {
    weight > threshold - 1e-9
}

/// A `tsquery` for chunks that hold terms of a weight of `needed`; `None` where no chunk can.
fn clause(terms: &[Common<'_>], needed: f64) -> Option<String> {
    let (first, rest) = terms.split_first()?;
    let lexeme = operand(first.lexeme);
    let with = if reaches(first.weight, needed) {
        Some(lexeme)
    } else {
        clause(rest, needed - first.weight).map(|rest| format!("{lexeme} & {rest}"))
    };
    match (with, clause(rest, needed)) {
        (Some(with), Some(without)) => Some(format!("({with} | {without})")),
        (with, without) => with.or(without),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(shares: &[(&str, f32)]) -> Vec<Term> {
        let term = |(lexeme, share): &(&str, f32)| Term {
            lexeme: (*lexeme).to_owned(),
            frequency: (*share >= 0.0).then_some(*share),
        };
        shares.iter().map(term).collect()
    }

    fn all(documents: f64) -> Searched {
        Searched { indexed: documents, passing: 1.0 }
    }

    fn indexed(shares: &[(&str, f32)], documents: f64) -> Option<String> {
        matching(&terms(shares), all(documents)).indexed
    }

    #[test]
    fn rare_terms_match_alone_and_common_ones_together() {
        let found = [("the", 0.9), ("rare", 0.001), ("a", 0.02), ("b", 0.01), ("new", -1.0)];
        assert_eq!(indexed(&found, 300.0).unwrap(), "'new' | 'rare' | 'b' | 'a' | 'the'");
        assert_eq!(indexed(&found, 1e5).unwrap(), "'new' | 'rare' | ('b' & 'a')");
        assert_eq!(indexed(&found, 5e5).unwrap(), "'new' | 'rare'");
        let found = [("a", 0.01), ("b", 0.01), ("c", 0.01), ("d", 0.5)];
        let pairs = "(('a' & ('b' | 'c') | 'b' & 'c'))";
        assert_eq!(indexed(&found, 6e5).unwrap(), pairs);
        assert_eq!(indexed(&found, 5e6).unwrap(), "('a' & 'b' & 'c')");
    }

    #[test]
    fn where_less_passes_more_is_fetched_but_not_too_much() {
        let found = terms(&[("a", 0.01), ("b", 0.02), ("c", 0.05)]);
        let of = |passing| matching(&found, Searched { indexed: 1e5, passing }).indexed.unwrap();
        assert_eq!(of(1.0), "(('a' & ('b' | 'c') | 'b' & 'c'))");
        assert_eq!(of(0.1), "'a' | 'b'");
        assert_eq!(of(0.0), of(0.1), "fetching is bounded");
    }

    #[test]
    fn terms_that_are_too_common_are_looked_for_in_a_sample() {
        let both = || Some("'b' | 'a'".to_owned());
        let of = |shares| matching(&terms(shares), all(1e6));
        let found = of(&[("a", 0.9), ("b", 0.8)]);
        assert_eq!(found, Matching { indexed: None, sampled: both(), expected: 0.0 });
        let found = of(&[("a", 0.9), ("new", -1.0), ("b", 0.8)]);
        assert_eq!((found.indexed.as_deref(), found.sampled), (Some("'new'"), both()));
        assert_eq!(of(&[]), Matching::default());
        // Few would be found, but on the way to them a tenth of a large index is gone through.
        let many = terms(&[("a", 0.2), ("b", 0.2), ("c", 0.2), ("d", 0.2), ("e", 0.2), ("f", 0.2)]);
        let is_indexed = |searched| matching(&many, searched).indexed.is_some();
        assert!(is_indexed(all(1e5)) && !is_indexed(all(1e6)));
        assert!(!is_indexed(Searched { passing: 0.1, ..all(1e6) }));
    }

    /// Whether what holds `held` of the terms named by a letter matches; reads on from `query`.
    fn matches(query: &mut &str, held: usize) -> bool {
        let mut any = false;
        loop {
            let mut all = true;
            loop {
                if let Some(inner) = query.strip_prefix('(') {
                    *query = inner;
                    all &= matches(query, held);
                    *query = &query[1..];
                } else {
                    all &= held >> (query.as_bytes()[1] - b'a') & 1 == 1;
                    *query = &query[3..];
                }
                let Some(rest) = query.strip_prefix(" & ") else { break };
                *query = rest;
            }
            any |= all;
            let Some(rest) = query.strip_prefix(" | ") else { return any };
            *query = rest;
        }
    }

    proptest! {
        #[test]
        fn what_weighs_enough_matches_and_nothing_else(
            mut shares in prop::collection::vec(1e-3..0.9_f32, 1..8),
            threshold in 0.0..1.0_f64,
        ) {
            shares.sort_by(f32::total_cmp);
            let named: Vec<(String, f32)> =
                ('a'..='z').map(String::from).zip(shares.iter().copied()).collect();
            let named: Vec<(&str, f32)> = named.iter().map(|(name, share)| (name.as_str(), *share)).collect();
            let terms = terms(&named);
            let meetings = Meetings::of(&terms.iter().collect::<Vec<_>>());
            let all = (1 << shares.len()) - 1;
            let threshold = threshold * meetings.set(all).weight;
            let clause = clause(&meetings.terms, threshold).expect("all of them weigh enough");
            for held in 1..=all {
                let mut query = clause.as_str();
                let weighs_enough = reaches(meetings.set(held).weight, threshold);
                prop_assert_eq!(matches(&mut query, held), weighs_enough, "{} {:b}", clause, held);
            }
        }

        #[test]
        fn what_is_looked_for_stays_within_bounds(
            shares in prop::collection::vec(1e-4..1.0_f32, 0..12),
            indexed in 10.0..1e8_f64,
            passing in 0.0..1.0_f64,
        ) {
            let named: Vec<(&str, f32)> = shares.iter().map(|share| ("t", *share)).collect();
            let terms = terms(&named);
            let searched = Searched { indexed, passing };
            let found = matching(&terms, searched);
            prop_assert_eq!(found.indexed.is_none() && found.sampled.is_none(), shares.is_empty());
            let holding: f64 = shares.iter().map(|share| f64::from(*share) * indexed).sum();
            let mut sorted: Vec<&Term> = terms.iter().collect();
            sorted.sort_by(|a, b| a.frequency.partial_cmp(&b.frequency).expect("numbers"));
            if holding <= searched.budget() * 0.999 {
                prop_assert_eq!(&found.indexed, &any_of(sorted.iter().map(|term| &term.lexeme)));
                prop_assert!(found.sampled.is_none());
            }
            prop_assert!(searched.budget() <= MOST_FETCHED);
            prop_assert!(found.expected <= searched.budget() * passing * 1.001);
            // Whatever passes, the index gives no more than it may, and is not gone through further.
            let meetings = Meetings::of(&sorted);
            if let Some((_, given)) = meetings.within(indexed, MATCHES) {
                prop_assert!(given <= MATCHES);
                let thresholds = (1..1 << meetings.terms.len()).map(|set| meetings.set(set).weight);
                let fits = |t: f64| indexed * meetings.entries(t) <= MOST_ENTRIES;
                prop_assert!(thresholds.into_iter().any(fits));
            }
        }
    }
}
