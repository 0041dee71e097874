//! What stands beside what: a claim made of its evidence's words says the same only where names and numbers have kept their places.
use super::evidence::{Evidence, Refusal};
use super::words::{self, Content};

/// Share of a claim's words that stand in the evidence from which on it is a copy of it, in which nothing may have changed places.
const COPY: f64 = 0.9;
/// Verbs whose two sides may change places.
const COPULAS: [&str; 4] = ["is", "are", "was", "were"];
/// What begins the side of a copula, and is not compared.
const ARTICLES: [&str; 3] = ["the", "a", "an"];

/// An error where a claim is made of the evidence's words, and a name or number stands beside others than there, or who did something is who it was done to.
pub(super) fn check(
    claim: &[String],
    content: &[Content],
    evidence: &Evidence,
) -> Result<(), Refusal> {
    for (one, other) in [(claim, &*evidence.words), (&*evidence.words, claim)] {
        if let Some(agent) = passive_agents(one).find(|agent| agent.is_done_to(other)) {
            return Err(format!("\"{}\" has another part in its quotes", agent.name));
        }
    }
    let known = claim.iter().filter(|word| evidence.words.contains(word)).count();
    if (known as f64) < COPY * claim.len() as f64 {
        return Ok(());
    }
    let is_number = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    let is_name = |word: &String| content.iter().any(|it| it.text == *word && it.is_capital);
    let is_turned = is_turned(claim, &evidence.words)
        || is_turned(&evidence.words, claim)
        || has_sides_changed(claim, &evidence.words);
    let is_only_number = evidence.numbers.len() == 1;
    let common = common_subsequence(claim, &evidence.words);
    for (at, word) in claim.iter().enumerate().filter(|(at, _)| !common[*at]) {
        let is_fixed = if is_number(word) { !is_only_number } else { is_name(word) && !is_turned };
        if is_fixed && !has_neighbour(claim, at, &evidence.words) {
            return Err(format!("\"{word}\" stands elsewhere in its quotes"));
        }
    }
    Ok(())
}

/// Whether the word stands beside the same word there, which means something.
fn has_neighbour(claim: &[String], at: usize, evidence: &[String]) -> bool {
    let neighbours = |words: &[String], at: usize| {
        [at.checked_sub(1).map(|i| words[i].clone()), words.get(at + 1).cloned()]
    };
    let own = neighbours(claim, at);
    let is_beside = |place: usize| {
        let there = neighbours(evidence, place);
        own.iter()
            .zip(&there)
            .any(|(a, b)| a == b && a.as_ref().is_some_and(|a| !words::is_common(a)))
    };
    { 0..evidence.len() }.any(|place| evidence[place] == claim[at] && is_beside(place))
}

/// "… sacked by Ware": who did what.
struct Agent<'w> {
    name: &'w str,
    verb: &'w str,
}

impl Agent<'_> {
    /// Whether the verb is done to the same there: "sacked Ware".
    fn is_done_to(&self, words: &[String]) -> bool {
        words.windows(2).any(|pair| words::is_same(&pair[0], self.verb) && pair[1] == self.name)
    }

    /// Whether the same do the verb there: "Ware … sacked".
    fn does(&self, words: &[String]) -> bool {
        let verb = words.iter().position(|word| words::is_same(word, self.verb));
        let name = words.iter().position(|word| word == self.name);
        name.zip(verb).is_some_and(|(name, verb)| name < verb)
    }
}

fn passive_agents(words: &[String]) -> impl Iterator<Item = Agent<'_>> {
    let by = (1..words.len()).filter(|at| words[*at] == "by" && !words::is_common(&words[at - 1]));
    by.filter_map(|at| {
        let name = words[at + 1..].iter().find(|word| !ARTICLES.contains(&&***word))?;
        Some(Agent { name, verb: &words[at - 1] })
    })
}

/// Whether one says of somebody who does something what the other says of what is done by them.
fn is_turned(passive: &[String], active: &[String]) -> bool {
    !active.iter().any(|word| word == "by") && passive_agents(passive).any(|it| it.does(active))
}

/// Whether what stands on one side of "is" stands on the other there.
fn has_sides_changed(claim: &[String], evidence: &[String]) -> bool {
    let is_copula = |word: &String| COPULAS.contains(&&**word);
    let Some(at) = claim.iter().position(is_copula) else { return false };
    let plain = |side: &[String]| {
        let articles = side.iter().take_while(|word| ARTICLES.contains(&&***word)).count();
        side[articles..].to_vec()
    };
    let (left, right) = (plain(&claim[..at]), plain(&claim[at + 1..]));
    let holds = |words: &[String], side: &[String]| {
        !side.is_empty() && words.windows(side.len()).any(|window| window == side)
    };
    let there = evidence.iter().enumerate().filter(|(_, word)| **word == claim[at]);
    { there }.any(|(at, _)| holds(&evidence[..at], &right) && holds(&evidence[at..], &left))
}

/// Most words that are compared in order; sentences are shorter.
const MAX_WORDS: usize = 400;

/// Which words of `one` belong to the longest sequence that both have in the same order.
fn common_subsequence(one: &[String], other: &[String]) -> Vec<bool> {
    let (one, other) = (&one[..one.len().min(MAX_WORDS)], &other[..other.len().min(MAX_WORDS)]);
    let width = other.len() + 1;
    let mut lengths = vec![0_u16; (one.len() + 1) * width];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            lengths[i * width + j] = if one[i] == other[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut common = vec![false; one.len()];
    while i < one.len() && j < other.len() {
        if one[i] == other[j] {
            common[i] = true;
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}
