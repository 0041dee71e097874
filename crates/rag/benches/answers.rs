//! Extractive answers over documentation: the questions of `tests/questions`, asked of the PostgreSQL manual and of this
//! project's own pages with the default model.
//!
//! An answer counts as right when it quotes an accepted phrase. A near miss is the same question after the passages with an
//! accepted phrase are gone. The answers to the third set of questions are never printed: it only decides
//! whether a change is kept.
//! `RAG_PG_VERBOSE` prints those of the others, `RAG_PG_DOCUMENTS` (`docs` or `manual`) asks of one alone.
#[path = "quality/corpus.rs"]
#[allow(dead_code)] // other benches read judged passages with it
mod corpus;
#[path = "quality/documents.rs"]
mod documents;
#[path = "quality/lexical.rs"]
mod lexical;
#[path = "quality/search.rs"]
#[allow(dead_code)] // other benches look at each leg
mod search;

use corpus::{Corpus, embed};
use rag::answer::{Answer, Options, Status, extract};
use rag::model::{Embedding, Purpose};
use search::{TOP_K, passages, search};
use std::{env, fs};

struct Question {
    text: String,
    accepted: Vec<String>,
}

impl Question {
    fn is_accepted(&self, text: &str) -> bool {
        let text = folded(text);
        self.accepted.iter().any(|phrase| text.contains(phrase))
    }
}

/// Without Markdown's marks, case and the kind of white space.
fn folded(text: &str) -> String {
    let text = text.replace(['`', '*'], "").to_lowercase();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn questions(name: &str) -> Vec<Question> {
    let path = format!("{}/../../tests/questions/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let mut questions: Vec<Question> = Vec::new();
    for line in fs::read_to_string(&path).expect("the questions").lines() {
        if let Some(text) = line.strip_prefix("? ") {
            questions.push(Question { text: text.to_owned(), accepted: Vec::new() });
        } else if let Some(phrase) = line.strip_prefix("= ") {
            questions.last_mut().expect("a question").accepted.push(folded(phrase));
        }
    }
    questions
}

fn main() {
    if env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut totals = [Counts::default(); SETS.len()];
    let wanted = env::var("RAG_PG_DOCUMENTS").ok();
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    for documents in documents::all().into_iter().filter(|documents| is_wanted(documents.name)) {
        let corpus = documents.read();
        println!("figure\tanswers, {}: chunks\t{}\t", documents.name, corpus.passages.len());
        for (set, total) in SETS.iter().zip(&mut totals) {
            let mut counts = Counts::default();
            let questions = questions(&format!("{}{set}", documents.name));
            let texts: Vec<String> = questions.iter().map(|q| q.text.clone()).collect();
            let embeddings = embed(&corpus.model, &texts, Purpose::Query, |embedding| embedding);
            for (question, embedding) in questions.iter().zip(&embeddings) {
                counts.add(&corpus, question, embedding, *set != UNSEEN);
            }
            counts.report(&format!("{}{set}", documents.name));
            total.merge(&counts);
        }
    }
    for (set, total) in SETS.iter().zip(&totals) {
        total.report(&format!("all{set}"));
    }
}

/// Questions that extraction is tuned on, others that were held out until its answers to them were read, and those whose answers
/// are not read.
const SETS: [&str; 3] = ["", "_second", UNSEEN];
const UNSEEN: &str = "_unseen";

#[derive(Default, Clone, Copy)]
struct Counts {
    answerable: usize,
    found: usize,
    right: usize,
    right_first: usize,
    wrong_found: usize,
    refused_found: usize,
    unanswerable: usize,
    refused: usize,
    near_misses: usize,
    near_refused: usize,
}

impl Counts {
    fn add(&mut self, corpus: &Corpus, question: &Question, embedding: &Embedding, is_shown: bool) {
        let show = |verdict: &str, question: &Question, answer: &Answer| {
            if is_shown {
                show(verdict, question, answer);
            }
        };
        let holds = |passage: usize| question.is_accepted(&corpus.passages[passage].text);
        let legs = search(corpus, &question.text, embedding, |_| true);
        let is_found = legs.reranked[..TOP_K].iter().any(|(passage, _)| holds(*passage));
        let answer = answer(corpus, &question.text, embedding, &legs.reranked);
        let is_answered = answer.status == Status::Answered;
        if question.accepted.is_empty() {
            self.unanswerable += 1;
            self.refused += usize::from(!is_answered);
            return show(if is_answered { "ANSWERED" } else { "refused" }, question, &answer);
        }
        let is_right = is_answered && question.is_accepted(&answer.text);
        let best = answer.citations.iter().find(|citation| citation.is_best);
        self.answerable += 1;
        self.found += usize::from(is_found);
        self.right += usize::from(is_right);
        self.right_first += usize::from(best.is_some_and(|c| question.is_accepted(&c.quote)));
        self.wrong_found += usize::from(is_found && is_answered && !is_right);
        self.refused_found += usize::from(is_found && !is_answered);
        let verdict = match (is_right, is_answered, is_found) {
            (true, ..) => "right",
            (_, true, true) => "WRONG",
            (_, false, true) => "REFUSED",
            (_, true, false) => "wrong, not found",
            (_, false, false) => "refused, not found",
        };
        show(verdict, question, &answer);
        let without = search(corpus, &question.text, embedding, |passage| !holds(passage));
        let near = self::answer(corpus, &question.text, embedding, &without.reranked);
        self.near_misses += 1;
        self.near_refused += usize::from(near.status != Status::Answered);
        if near.status == Status::Answered {
            show("near miss", question, &near);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.answerable += other.answerable;
        self.found += other.found;
        self.right += other.right;
        self.right_first += other.right_first;
        self.wrong_found += other.wrong_found;
        self.refused_found += other.refused_found;
        self.unanswerable += other.unanswerable;
        self.refused += other.refused;
        self.near_misses += other.near_misses;
        self.near_refused += other.near_refused;
    }

    fn report(&self, name: &str) {
        for (what, count, of, bar) in [
            ("accepted passage among five", self.found, self.answerable, ""),
            ("answered by an accepted sentence", self.right, self.answerable, ">= 80 %"),
            ("the first sentence accepted", self.right_first, self.answerable, ""),
            ("wrong where the passage was found", self.wrong_found, self.found, "<= 5 %"),
            ("refused where the passage was found", self.refused_found, self.found, ""),
            ("unanswerable refused", self.refused, self.unanswerable, ">= 85 %"),
            ("near misses refused", self.near_refused, self.near_misses, ""),
        ] {
            let share = 100.0 * count as f64 / of.max(1) as f64;
            println!("figure\tanswers, {name}: {what}\t{count} of {of}, {share:.1} %\t{bar}");
        }
    }
}

fn show(verdict: &str, question: &Question, answer: &Answer) {
    if env::var("RAG_PG_VERBOSE").is_ok() {
        println!("{verdict} ({:.3}): {}\n    {:?}", answer.confidence, question.text, answer.text);
    }
}

fn answer(
    corpus: &Corpus,
    question: &str,
    embedding: &Embedding,
    found: &[(usize, f64)],
) -> Answer {
    let passages = passages(corpus, found);
    let tokens = embedding.tokens.as_ref().expect("token vectors were asked for");
    let options = Options { searched: corpus.passages.len(), ..Options::default() };
    extract(question, tokens, &passages, &options, &mut || Ok(())).expect("one model")
}
