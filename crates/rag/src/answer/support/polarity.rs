//! Negations and opposites.
use super::evidence::{Evidence, Refusal};
use super::words::{is_common, is_opposite, is_same};
use crate::text::fold::Folded;

/// Words that negate what follows.
const NEGATIONS: &str = " not no never none neither nor without cannot nobody nothing nowhere hardly barely unable fails failed lacks lacking refuses \
nicht kein keine keinen keiner keinem nie niemals ohne nichts niemand ne pas jamais aucun aucune sans rien \
nunca jamás ningún ninguna sin nadie nada tampoco non mai senza nessun nessuna não nem sem nenhum nenhuma niet geen nooit zonder не нет никогда без ";
/// What negates in scripts without spaces between words.
const UNSPACED: [&str; 9] = ["不", "没", "沒", "无", "無", "未", "ない", "ません", "なかっ"];
/// Where what a negation covers ends.
const CLAUSE_ENDS: &str = " but and or because although though while whereas however which who that if when since unless except aber und oder weil obwohl sondern mais et ou pero y o ";
/// Words that a negation covers.
const SCOPE: usize = 3;
/// Words of which one contradicts the other.
const OPPOSITES: [(&str, &str); 38] = [
    ("always", "never"),
    ("all", "none"),
    ("before", "after"),
    ("more", "less"),
    ("more", "fewer"),
    ("most", "least"),
    ("increase", "decrease"),
    ("increased", "decreased"),
    ("increases", "decreases"),
    ("rise", "fall"),
    ("rose", "fell"),
    ("enable", "disable"),
    ("enabled", "disabled"),
    ("enables", "disables"),
    ("true", "false"),
    ("minimum", "maximum"),
    ("first", "last"),
    ("largest", "smallest"),
    ("highest", "lowest"),
    ("higher", "lower"),
    ("larger", "smaller"),
    ("north", "south"),
    ("northern", "southern"),
    ("east", "west"),
    ("eastern", "western"),
    ("won", "lost"),
    ("win", "lose"),
    ("male", "female"),
    ("above", "below"),
    ("earlier", "later"),
    ("faster", "slower"),
    ("allow", "forbid"),
    ("allowed", "forbidden"),
    ("accepted", "rejected"),
    ("public", "private"),
    ("left", "right"),
    ("begin", "end"),
    ("best", "worst"),
];
/// Share of words that two texts have in common from which on one is a copy of the other.
const COPY: f64 = 0.9;

/// A word, and which negation before it covers it, from 1; 0 for none.
struct Negatable {
    text: String,
    negation: usize,
    /// It is the first that the negation covers.
    is_head: bool,
}

fn is_negation(word: &str) -> bool {
    word.ends_with("n't") || NEGATIONS.split(' ').any(|known| known == word)
}

/// Words that mean something, and the number of negations.
fn read(text: &str) -> (Vec<Negatable>, usize) {
    let folded = Folded::of(text);
    let (mut found, mut count) = (Vec::new(), 0);
    let (mut left, mut is_head, mut end) = (0, false, 0);
    for word in folded.words() {
        let between = &text[end.min(word.bytes.start)..word.bytes.start];
        end = word.bytes.end;
        if between.contains(['.', ',', ';', ':', '!', '?', '(', ')', '\n'])
            || CLAUSE_ENDS.split(' ').any(|known| known == word.text)
        {
            left = 0;
        }
        if is_negation(&word.text) {
            // "not only" says more, not less.
            let rest = text[end..].trim_start();
            let is_only = rest.get(..4).is_some_and(|next| next.eq_ignore_ascii_case("only"));
            // "No, it is not" negates once.
            if text[..word.bytes.start].trim().is_empty() && rest.starts_with(',') {
                continue;
            }
            (left, is_head) = if is_only { (0, false) } else { (SCOPE, true) };
            count += usize::from(!is_only);
        } else if !is_common(&word.text) {
            let negation = if left > 0 { count } else { 0 };
            found.push(Negatable { text: word.text, negation, is_head: left > 0 && is_head });
            left = usize::saturating_sub(left, 1);
            is_head = false;
        }
    }
    (found, count + unspaced_negations(text))
}

/// An error unless claim and evidence negate the same.
pub(super) fn check(claim: &str, evidence: &Evidence) -> Result<(), Refusal> {
    let refused = |word: &str| Err(format!("its quotes say otherwise of \"{word}\""));
    let (said, negations) = read(claim);
    let (known, known_negations) = read(&evidence.text);
    let of =
        |word: &str| known.iter().filter(|other| is_same(word, &other.text)).collect::<Vec<_>>();
    let opposite = |word: &str| known.iter().any(|other| is_opposite(word, &other.text));
    for word in said.iter().filter(|word| word.negation == 0) {
        let same = of(&word.text);
        let is_contrary =
            same.is_empty() && negations == 0 && known_negations == 0 && opposite(&word.text);
        let is_denied = !same.is_empty() && same.iter().all(|other| other.is_head);
        if is_contrary || is_denied {
            return refused(&word.text);
        }
    }
    for negation in 1..=said.iter().map(|word| word.negation).max().unwrap_or(0) {
        let covered: Vec<&Negatable> =
            said.iter().filter(|word| word.negation == negation).collect();
        let is_known = covered.iter().any(|word| !of(&word.text).is_empty());
        let agrees = |word: &&Negatable| {
            of(&word.text).iter().any(|other| other.negation > 0) || opposite(&word.text)
        };
        if (is_known || known_negations == 0) && !covered.is_empty() && !covered.iter().any(agrees)
        {
            return refused(&covered[0].text);
        }
    }
    if is_copy(&said, &known) && negations != known_negations
        || negations > 0 && known_negations == 0 && said.iter().all(|word| word.negation == 0)
    {
        return refused("not");
    }
    if has_not_only(claim) != has_not_only(&evidence.text)
        && claim.contains("only")
        && evidence.text.contains("only")
    {
        return refused("only");
    }
    if (unspaced_negations(claim) > 0) != (unspaced_negations(&evidence.text) > 0)
        && !evidence.text.contains('\n')
    {
        return Err("its quotes say otherwise".to_owned());
    }
    check_opposites(claim, evidence)
}

/// Whether two texts have nearly all words in common.
fn is_copy(one: &[Negatable], other: &[Negatable]) -> bool {
    let common =
        one.iter().filter(|word| other.iter().any(|known| known.text == word.text)).count();
    common as f64 >= COPY * one.len().max(other.len()) as f64
}

fn has_not_only(text: &str) -> bool {
    text.to_lowercase().contains("not only")
}

/// Where words are not apart.
fn unspaced_negations(text: &str) -> usize {
    UNSPACED.iter().map(|mark| text.matches(mark).count()).sum()
}

fn check_opposites(claim: &str, evidence: &Evidence) -> Result<(), Refusal> {
    let said: Vec<String> = Folded::of(claim).words().into_iter().map(|word| word.text).collect();
    let (claims, knows) = (
        |word: &str| said.iter().any(|other| other == word),
        |word: &str| evidence.words.iter().any(|other| other == word),
    );
    for (one, other) in OPPOSITES {
        for (word, opposite) in [(one, other), (other, one)] {
            if claims(word) && !knows(word) && knows(opposite) && !claims(opposite) {
                return Err(format!("its quotes say \"{opposite}\", not \"{word}\""));
            }
        }
    }
    Ok(())
}
