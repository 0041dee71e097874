//! Quality of retrieval and answers on judged questions, with the default model.
//!
//! `RAG_PG_SQUAD` names a directory with `passages.jsonl` (`id`, `title`, `text`) and
//! `questions.jsonl` (`question`, `passage`, `answers`): the development set of `SQuAD` 1.1 in that
//! shape is what the bars are for. Every `RAG_PG_SQUAD_STEP`th question is asked (7 by default).
//! The lexical leg is a BM25 of this bench's own; in the database it is PostgreSQL's text search.
#[path = "quality/corpus.rs"]
mod corpus;
#[path = "quality/follow_ups.rs"]
mod follow_ups;
#[path = "quality/lexical.rs"]
mod lexical;
#[path = "quality/search.rs"]
mod search;

use corpus::{Corpus, Question};
use rag::answer::{Answer, Options, Status, extract};
use rag::search::quality::{Figures, mean};
use search::{Legs, TOP_K, passages};
use std::collections::BTreeSet;
use std::env::var;

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let Ok(directory) = var("RAG_PG_SQUAD") else {
        println!("figure\tquality on judged questions\tnot measured\tset RAG_PG_SQUAD");
        return;
    };
    let step = var("RAG_PG_SQUAD_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(7);
    let corpus = Corpus::read(&directory, step);
    let mut retrieval = Retrieval::default();
    let mut answers = Answers::default();
    for question in &corpus.questions {
        let search = |is_allowed: &dyn Fn(usize) -> bool| {
            search::search(&corpus, &question.text, &question.embedding, is_allowed)
        };
        let legs = search(&|_| true);
        retrieval.add(&legs, question.passage);
        if legs.reranked[..TOP_K].iter().any(|(passage, _)| *passage == question.passage) {
            answers.add(&corpus, question, &legs);
        }
        let title = &corpus.passages[question.passage].title;
        let elsewhere = search(&|passage| corpus.passages[passage].title != *title);
        answers.confidence_elsewhere.push(confidence(&corpus, question, &elsewhere.reranked));
        let beside = search(&|passage| passage != question.passage);
        answers.confidence_beside.push(confidence(&corpus, question, &beside.reranked));
    }
    retrieval.report();
    answers.report();
    follow_ups::report(&corpus, &directory);
}

/// How good each stage's rankings are, by the arithmetic of `rag_evaluate`.
#[derive(Default)]
struct Retrieval {
    /// Figures of the first ten and of the first five, one per question.
    stages: [(Vec<Figures>, Vec<Figures>); 4],
}

impl Retrieval {
    fn add(&mut self, legs: &Legs, relevant: usize) {
        let reranked: Vec<usize> = legs.reranked.iter().map(|(passage, _)| *passage).collect();
        let found = [&legs.dense, &legs.lexical, &legs.hybrid, &reranked];
        let relevant = BTreeSet::from([relevant]);
        for ((ten, five), found) in self.stages.iter_mut().zip(found) {
            ten.push(Figures::of(found.iter().copied(), &relevant, 10));
            five.push(Figures::of(found.iter().copied(), &relevant, 5));
        }
    }

    fn report(&self) {
        let bars = ["", "", "", "MRR@10 >= 0.89, recall@5 >= 0.96"];
        let names = ["dense", "lexical", "hybrid", "reranked"];
        for (((ten, five), name), bar) in self.stages.iter().zip(names).zip(bars) {
            let (mrr, recall) = (mean(ten).reciprocal_rank, mean(five).recall);
            println!("figure\tretrieval, {name}\tMRR@10 {mrr:.3}, recall@5 {recall:.3}\t{bar}");
        }
        println!("figure\tquestions asked\t{}\t", self.stages[0].0.len());
    }
}

/// Accepted texts in what was quoted, where the passage was found.
#[derive(Default)]
struct Answers {
    found: usize,
    in_best_of_passage: usize,
    in_three_of_passage: usize,
    in_best: usize,
    in_answer: usize,
    confidence: Vec<f64>,
    confidence_elsewhere: Vec<f64>,
    /// Where the passage alone was left out: others of its article are there.
    confidence_beside: Vec<f64>,
}

impl Answers {
    fn add(&mut self, corpus: &Corpus, question: &Question, legs: &Legs) {
        self.found += 1;
        let own: Vec<_> =
            legs.reranked.iter().copied().filter(|(p, _)| *p == question.passage).collect();
        let first = |answer: &Answer| question.is_accepted(best_quote(answer));
        let any = |answer: &Answer| answer.citations.iter().any(|c| question.is_accepted(&c.quote));
        let within = answer(corpus, question, &own);
        self.in_best_of_passage += usize::from(first(&within));
        self.in_three_of_passage += usize::from(any(&within));
        let over_all = answer(corpus, question, &legs.reranked);
        self.in_best += usize::from(first(&over_all));
        self.in_answer += usize::from(any(&over_all));
        self.confidence.push(f64::from(over_all.confidence));
    }

    fn report(&mut self) {
        let share = |hits: usize| format!("{:.1} %", 100.0 * hits as f64 / self.found as f64);
        for (what, hits, bar) in [
            (
                "accepted text in the best sentence of the passage",
                self.in_best_of_passage,
                ">= 85 %",
            ),
            (
                "accepted text in three sentences of the passage",
                self.in_three_of_passage,
                ">= 95 %",
            ),
            ("accepted text in the best sentence of five passages", self.in_best, ""),
            ("accepted text in an answer from five passages", self.in_answer, ""),
        ] {
            println!("figure\t{what}\t{}\t{bar}", share(hits));
        }
        self.confidence.sort_by(f64::total_cmp);
        let threshold = Options::default().threshold;
        let below = |values: &[f64], at: f64| {
            100.0 * values.iter().filter(|value| **value < at).count() as f64 / values.len() as f64
        };
        for (what, values, bar) in [
            ("abstains where an answer was found", &self.confidence, "<= 10 %"),
            ("abstains on other articles' questions", &self.confidence_elsewhere, ">= 80 %"),
            ("abstains where the passage alone was left out", &self.confidence_beside, ""),
        ] {
            println!("figure\t{what}\t{:.1} %\t{bar}", below(values, threshold));
        }
        for percent in [3, 5, 7, 10] {
            let at = self.confidence[self.confidence.len() * percent / 100];
            let [elsewhere, beside] =
                [&self.confidence_elsewhere, &self.confidence_beside].map(|all| below(all, at));
            println!("threshold {at:.3}: abstains on {percent} %, {elsewhere:.1} %, {beside:.1} %");
        }
    }
}

/// The quote that was chosen first.
fn best_quote(answer: &Answer) -> &str {
    answer.citations.iter().find(|citation| citation.is_best).map_or("", |citation| &citation.quote)
}

fn confidence(corpus: &Corpus, question: &Question, found: &[(usize, f64)]) -> f64 {
    f64::from(answer(corpus, question, found).confidence)
}

/// The answer from the best passages, whatever its confidence.
fn answer(corpus: &Corpus, question: &Question, found: &[(usize, f64)]) -> Answer {
    let passages = passages(corpus, found);
    let tokens = question.embedding.tokens.as_ref().expect("token vectors were asked for");
    let options = Options { threshold: -1.0, ..Options::default() };
    let answer =
        extract(&question.text, tokens, &passages, &options, &mut || Ok(())).expect("one model");
    assert_eq!(answer.status, Status::Answered);
    answer
}
