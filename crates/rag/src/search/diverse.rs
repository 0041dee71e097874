//! Which of the ranked candidates are returned: the best, but not many of one document, and not the same
//! text twice.
use crate::text::script::is_unspaced;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Words that texts are compared by, in a row.
const SHINGLE: usize = 3;

/// Whether a candidate is returned, and if not, why. Ranks count those kept, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is returned.
    Kept,
    /// As many of its document as may be are returned already; the first of them has this rank.
    SameDocument(usize),
    /// The text of this rank is nearly the same.
    NearDuplicate(usize),
    /// Enough others are better.
    Lower,
}

/// Limits of the choice.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// How many to keep.
    pub top_k: usize,
    /// Most of one document.
    pub per_document: Option<usize>,
    /// Least [`resemblance`] with a better one that makes a text superfluous.
    pub near_duplicate: Option<f64>,
}

/// Goes through candidates, best first: each the key of its document and what `text_of` has its text from,
/// which is asked only where the text matters.
pub fn choose<K: Eq + Hash, T>(
    candidates: &[(K, T)],
    text_of: impl Fn(&T) -> &str,
    limits: &Limits,
) -> Vec<Choice> {
    let mut chosen = Chosen { limits, kept: 0, documents: HashMap::new(), texts: Vec::new() };
    candidates.iter().map(|(document, text)| chosen.take(document, || text_of(text))).collect()
}

/// The candidates kept so far.
struct Chosen<'a, K> {
    limits: &'a Limits,
    kept: usize,
    /// Ranks by document.
    documents: HashMap<&'a K, Vec<usize>>,
    /// Shingles by rank, where they matter.
    texts: Vec<Vec<u64>>,
}

impl<'a, K: Eq + Hash> Chosen<'a, K> {
    fn take<'t>(&mut self, document: &'a K, text: impl FnOnce() -> &'t str) -> Choice {
        if self.kept == self.limits.top_k {
            return Choice::Lower;
        }
        let of_document = self.documents.entry(document).or_default();
        if self.limits.per_document.is_some_and(|most| of_document.len() >= most) {
            return Choice::SameDocument(of_document[0]);
        }
        if let Some(least) = self.limits.near_duplicate {
            let shingles = shingles(text());
            let known = self.texts.iter().position(|other| alike(&shingles, other) >= least);
            if let Some(position) = known {
                return Choice::NearDuplicate(position + 1);
            }
            self.texts.push(shingles);
        }
        self.kept += 1;
        of_document.push(self.kept);
        Choice::Kept
    }
}

/// Share of the sequences of three words, without case and punctuation, that two texts have in common, of
/// all that either has: 1 for the same words in the same order, 0 for nothing in common.
pub fn resemblance(a: &str, b: &str) -> f64 {
    alike(&shingles(a), &shingles(b))
}

fn alike(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0_usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, common) = (i + 1, j + 1, common + 1),
        }
    }
    common as f64 / (a.len() + b.len() - common).max(1) as f64
}

/// Hashes of the sequences of words, in ascending order, each once; of a text too short for one, of all its
/// words; of a text without words, of the text.
fn shingles(text: &str) -> Vec<u64> {
    let words = words(text);
    let mut hashes: Vec<u64> = match words.len() {
        0 => vec![hash(&text)],
        count if count < SHINGLE => vec![hash(&words.as_slice())],
        _ => words.windows(SHINGLE).map(|words| hash(&words)).collect(),
    };
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Words in lower case; where a script does not part them, characters.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        let is_single = is_unspaced(c);
        if (is_single || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if is_single {
            words.push(c.to_string());
        } else if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::Choice::{Kept, Lower, NearDuplicate, SameDocument};
    use super::*;
    use proptest::prelude::*;

    fn limits(top_k: usize, per_document: Option<usize>, near_duplicate: Option<f64>) -> Limits {
        Limits { top_k, per_document, near_duplicate }
    }

    #[test]
    fn each_choice_states_its_reason() {
        let candidates = [
            (1, "Vacuum removes dead rows."),
            (1, "Indexes make reading quick."),
            (2, "VACUUM removes: dead rows!"),
            (3, "Locks are held to the end."),
            (3, "A lock is a promise."),
        ];
        for (limits, expected) in [
            (limits(3, None, None), [Kept, Kept, Kept, Lower, Lower]),
            (limits(9, Some(1), None), [Kept, SameDocument(1), Kept, Kept, SameDocument(3)]),
            (limits(9, None, Some(1.0)), [Kept, Kept, NearDuplicate(1), Kept, Kept]),
            (limits(2, Some(1), Some(1.0)), [Kept, SameDocument(1), NearDuplicate(1), Kept, Lower]),
        ] {
            assert_eq!(choose(&candidates, |text| text, &limits), expected, "{limits:?}");
        }
    }

    #[test]
    fn texts_resemble_each_other_by_what_they_say_in_order() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(resemblance("One two three four", "one, two - THREE; four?"), 1.0));
        assert!(near(resemblance("one two three four", "two three four five"), 1.0 / 3.0));
        assert!(near(resemblance("one two three", "three two one"), 0.0));
        assert!(near(resemblance("!", "?"), 0.0) && near(resemblance("?", "?"), 1.0));
        // Where words are not parted, one other character is no other text.
        assert!(resemblance("東京は日本の首都である", "東京は日本の首都です") > 0.5);
    }

    proptest! {
        #[test]
        fn limits_hold_and_nothing_is_left_out_for_no_reason(
            candidates in prop::collection::vec((0_u8..4, "[ab]( [ab]){0,4}"), 0..20),
            top_k in 1_usize..8, per_document in prop::option::of(1_usize..3), near_duplicate in prop::option::of(0.5_f64..1.0),
        ) {
            let limits = limits(top_k, per_document, near_duplicate);
            let candidates: Vec<(u8, &str)> = candidates.iter().map(|(d, t)| (*d, t.as_str())).collect();
            let choices = choose(&candidates, |text| text, &limits);
            prop_assert_eq!(choices.len(), candidates.len());
            let kept: Vec<(u8, &str)> = candidates.iter().zip(&choices).filter(|(_, c)| **c == Choice::Kept).map(|(c, _)| *c).collect();
            prop_assert!(kept.len() <= top_k);
            for (position, (document, text)) in kept.iter().enumerate() {
                prop_assert!(per_document.is_none_or(|most| kept.iter().filter(|k| k.0 == *document).count() <= most));
                prop_assert!(near_duplicate.is_none_or(|least| kept[..position].iter().all(|k| resemblance(text, k.1) < least)));
            }
            for ((document, text), choice) in candidates.iter().zip(&choices) {
                match choice {
                    Choice::Kept => {}
                    Choice::SameDocument(rank) => prop_assert_eq!(kept[rank - 1].0, *document),
                    Choice::NearDuplicate(rank) => prop_assert!(resemblance(text, kept[rank - 1].1) >= near_duplicate.unwrap_or(2.0)),
                    Choice::Lower => prop_assert_eq!(kept.len(), top_k),
                }
            }
        }
    }
}
