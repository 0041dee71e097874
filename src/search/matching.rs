//! Which chunks the lexical leg looks at: enough to rank well, few enough to stay quick.
use super::legs::Term;
use std::fmt::Write as _;

/// How much likelier two terms of a question are to meet in a chunk than chance has it.
const CORRELATION: f64 = 3.0;

/// A `tsquery` in its text form that matches about `budget` chunks or all that hold a term, whichever is
/// less. Rare terms match on their own; terms that would match too much on their own match in pairs,
/// rarest first; where even a pair is too common, all of them must meet. A term of unknown frequency
/// counts as rare. `None` when there is no term.
pub fn matching(terms: &[Term], documents: f64, budget: f64) -> Option<String> {
    let mut terms: Vec<&Term> = terms.iter().collect();
    let share = |term: &Term| f64::from(term.frequency.unwrap_or(0.0));
    terms.sort_by(|a, b| share(a).total_cmp(&share(b)));
    let mut left = budget;
    let alone = terms.iter().take_while(|term| {
        left -= share(term) * documents;
        left >= 0.0
    });
    let (rare, common) = terms.split_at(alone.count());
    let mut clauses: Vec<String> = rare.iter().map(|term| quoted(&term.lexeme)).collect();
    let left = budget - rare.iter().map(|term| share(term) * documents).sum::<f64>();
    clauses.extend(pairs(common, documents, left));
    if clauses.is_empty() && !common.is_empty() {
        let all: Vec<String> = common.iter().map(|term| quoted(&term.lexeme)).collect();
        return Some(all.join(" & "));
    }
    (!clauses.is_empty()).then(|| clauses.join(" | "))
}

/// As [`matching`], for lexemes whose chunks were counted so far as was worth it; `None` stands for too many
/// to count. Rare ones match on their own, rarest first; if no chunk has one, all common ones must meet. `None`
/// when no chunk has any.
pub fn among_counted(lexemes: &[&str], counts: &[Option<f64>], budget: f64) -> Option<String> {
    let counted = lexemes.iter().zip(counts);
    let mut rare: Vec<(f64, &str)> =
        counted.clone().filter_map(|(l, n)| n.filter(|n| *n > 0.0).map(|n| (n, *l))).collect();
    rare.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut left = budget;
    let fits = rare.iter().enumerate().take_while(|(position, (count, _))| {
        left -= count;
        *position == 0 || left >= 0.0
    });
    let alone: Vec<String> = fits.map(|(_, (_, lexeme))| quoted(lexeme)).collect();
    if !alone.is_empty() {
        return Some(alone.join(" | "));
    }
    let common = counted.filter(|(_, count)| count.is_none()).map(|(lexeme, _)| quoted(lexeme));
    let common: Vec<String> = common.collect();
    (!common.is_empty()).then(|| common.join(" & "))
}

/// Pairs of common terms that match at most about `left` chunks together.
fn pairs(common: &[&Term], documents: f64, mut left: f64) -> Vec<String> {
    let mut pairs: Vec<(f64, &str, &str)> = Vec::new();
    for (i, a) in common.iter().enumerate() {
        for b in &common[i + 1..] {
            let share = a.frequency.unwrap_or(0.0) * b.frequency.unwrap_or(0.0);
            pairs.push((f64::from(share) * CORRELATION * documents, &a.lexeme, &b.lexeme));
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let fits = pairs.into_iter().take_while(|(expected, ..)| {
        left -= expected;
        left >= 0.0
    });
    fits.map(|(_, a, b)| format!("({} & {})", quoted(a), quoted(b))).collect()
}

/// A lexeme as the text form of a `tsquery` takes it.
fn quoted(lexeme: &str) -> String {
    let mut out = String::with_capacity(lexeme.len() + 2);
    out.push('\'');
    for c in lexeme.chars() {
        if matches!(c, '\'' | '\\') {
            out.push(c);
        }
        let _ = out.write_char(c);
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(shares: &[(&str, f32)]) -> Vec<Term> {
        let term = |(lexeme, share): &(&str, f32)| Term {
            lexeme: (*lexeme).to_owned(),
            frequency: (*share >= 0.0).then_some(*share),
        };
        shares.iter().map(term).collect()
    }

    #[test]
    fn rare_terms_match_alone_and_common_ones_in_pairs() {
        let found =
            terms(&[("the", 0.9), ("rare", 0.001), ("a", 0.05), ("b", 0.04), ("new", -1.0)]);
        assert_eq!(matching(&found, 1e3, 1e4).unwrap(), "'new' | 'rare' | 'b' | 'a' | 'the'");
        assert_eq!(matching(&found, 1e5, 1e3).unwrap(), "'new' | 'rare' | ('b' & 'a')",);
    }

    #[test]
    fn terms_too_common_for_pairs_must_all_meet() {
        let found = terms(&[("a", 0.9), ("b", 0.8)]);
        assert_eq!(matching(&found, 1e6, 1e3).unwrap(), "'b' & 'a'");
        assert_eq!(matching(&[], 1e6, 1e3), None);
    }

    #[test]
    fn counted_lexemes_match_alone_where_they_are_rare() {
        let lexemes = ["the", "numbat", "termite", "eats"];
        let of =
            |counts: [Option<f64>; 4], budget| among_counted(&lexemes, &counts, budget).unwrap();
        assert_eq!(of([None, Some(3.0), Some(200.0), None], 1e3), "'numbat' | 'termite'");
        assert_eq!(of([None, Some(3.0), Some(200.0), Some(0.0)], 100.0), "'numbat'");
        assert_eq!(of([None, Some(0.0), None, Some(0.0)], 100.0), "'the' & 'termite'");
        assert_eq!(among_counted(&lexemes, &[Some(0.0); 4], 100.0), None);
        assert_eq!(of([None, Some(300.0), None, None], 100.0), "'numbat'", "one in any case");
        assert_eq!(of([None; 4], 100.0), "'the' & 'numbat' & 'termite' & 'eats'");
        assert_eq!(among_counted(&[], &[], 100.0), None);
    }

    #[test]
    fn any_lexeme_is_quoted() {
        assert_eq!(quoted(r"it's \ :*"), r"'it''s \\ :*'");
    }
}
