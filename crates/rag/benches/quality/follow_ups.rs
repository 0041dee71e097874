//! Questions that follow others: of two questions about one passage that name the same, the second with a pronoun for the name.
use crate::corpus::{Corpus, embed, lines, text};
use crate::search::{TOP_K, search};
use rag::model::Purpose;
use rag::search::conversation::{Turn, standalone};
use serde_json::Value;
use std::collections::HashMap;

/// Most follow-ups that are asked.
const MOST: usize = 300;

struct FollowUp {
    history: Vec<Turn>,
    whole: String,
    with_pronoun: String,
    passage: usize,
}

/// Asks each follow-up as it is, with what it takes from the history, and as it was before its name was taken out.
pub fn report(corpus: &Corpus, directory: &str) {
    let all = follow_ups(directory);
    let step = (all.len() / MOST).max(1);
    let all: Vec<FollowUp> = all.into_iter().step_by(step).collect();
    let merged = |one: &FollowUp| {
        standalone(&one.with_pronoun, &one.history).unwrap_or_else(|| one.with_pronoun.clone())
    };
    let needed = all.iter().filter(|one| standalone(&one.with_pronoun, &one.history).is_some());
    let changed = all.iter().filter(|one| standalone(&one.whole, &one.history).is_some());
    println!("figure\tfollow-ups: taken for one\t{} of {}\t", needed.count(), all.len());
    println!(
        "figure\tfollow-ups: whole questions taken for one\t{} of {}\t",
        changed.count(),
        all.len()
    );
    for (what, texts) in [
        ("with a pronoun", all.iter().map(|one| one.with_pronoun.clone()).collect::<Vec<_>>()),
        ("merged with the history", all.iter().map(merged).collect()),
        ("as they were whole", all.iter().map(|one| one.whole.clone()).collect()),
    ] {
        let embeddings = embed(&corpus.model, &texts, Purpose::Query, |embedding| embedding);
        let found = all.iter().zip(&texts).zip(&embeddings).filter(|((one, text), embedding)| {
            let legs = search(corpus, text, embedding, |_| true);
            legs.reranked[..TOP_K].iter().any(|(passage, _)| *passage == one.passage)
        });
        let share = found.count() as f64 / all.len().max(1) as f64;
        println!("figure\tfollow-ups {what}, recall@5\t{share:.3}\t");
    }
}

fn follow_ups(directory: &str) -> Vec<FollowUp> {
    let passages = lines(directory, "passages.jsonl");
    let places: HashMap<String, usize> =
        passages.iter().enumerate().map(|(at, passage)| (text(&passage["id"]), at)).collect();
    let questions = lines(directory, "questions.jsonl");
    let pairs = questions.windows(2).filter(|pair| pair[0]["passage"] == pair[1]["passage"]);
    pairs.filter_map(|pair| follow_up(&pair[0], &pair[1], &places)).collect()
}

fn follow_up(before: &Value, after: &Value, places: &HashMap<String, usize>) -> Option<FollowUp> {
    let (first, whole) = (text(&before["question"]), text(&after["question"]));
    let name = common_name(&first, &whole)?;
    let with_pronoun = whole.replacen(name, "it", 1);
    let turn = |is_user: bool, content: String| Turn { is_user, content };
    let answer = text(&before["answers"][0]);
    let passage = places[&text(&after["passage"])];
    let history = vec![turn(true, first), turn(false, answer)];
    Some(FollowUp { history, whole, with_pronoun, passage })
}

/// The longest run of words with a capital, not at the beginning, that both questions have.
fn common_name<'a>(first: &str, second: &'a str) -> Option<&'a str> {
    let words: Vec<&str> = second.split(' ').collect();
    let place = |word: &str| word.as_ptr() as usize - second.as_ptr() as usize;
    let is_capital = |word: &&str| word.starts_with(char::is_uppercase) && word.len() > 2;
    let mut best: Option<&str> = None;
    for from in 1..words.len() {
        let run = words[from..].iter().take_while(|word| is_capital(word)).count();
        for to in (from + 1..=from + run).rev() {
            let end = place(words[to - 1]) + words[to - 1].len();
            let name = second[place(words[from])..end].trim_end_matches(['?', ',', '.']);
            if first.contains(name) && best.is_none_or(|best| name.len() > best.len()) {
                best = Some(name);
            }
        }
    }
    best
}
