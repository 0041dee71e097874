//! A small BM25 index: English words without the commonest, and without their endings.
use rag::search::Bm25;
use std::collections::{HashMap, HashSet};

const STOP_WORDS: &str = "a about after all also an and any are as at be been before being between \
    both but by can could did do does during each for from had has have how if in into is it its \
    more most of on or other over s same should so some such than that the their them then there \
    these they this those through to under up was were what when where which while who whom why \
    will with would you your";

pub struct Lexical {
    postings: HashMap<String, Vec<(usize, f64)>>,
    lengths: Vec<f64>,
    bm25: Bm25,
}

impl Lexical {
    pub fn new(texts: &[String]) -> Self {
        let mut postings: HashMap<String, Vec<(usize, f64)>> = HashMap::new();
        let mut lengths = Vec::new();
        for (document, text) in texts.iter().enumerate() {
            let mut occurrences: HashMap<String, f64> = HashMap::new();
            lexemes(text).for_each(|lexeme| *occurrences.entry(lexeme).or_default() += 1.0);
            lengths.push(occurrences.values().sum());
            for (lexeme, count) in occurrences {
                postings.entry(lexeme).or_default().push((document, count));
            }
        }
        let average = lengths.iter().sum::<f64>() / texts.len() as f64;
        Self { postings, lengths, bm25: Bm25::new(texts.len() as f64, average) }
    }

    /// The score of every document.
    pub fn scores(&self, question: &str) -> Vec<f64> {
        let mut scores = vec![0.0; self.lengths.len()];
        let mut lexemes: Vec<String> =
            lexemes(question).collect::<HashSet<_>>().into_iter().collect();
        lexemes.sort();
        for postings in lexemes.iter().filter_map(|lexeme| self.postings.get(lexeme)) {
            let idf = self.bm25.idf(postings.len() as f64);
            for &(document, count) in postings {
                scores[document] += self.bm25.score(idf, count, self.lengths[document]);
            }
        }
        scores
    }
}

fn lexemes(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    words
        .filter(|word| !word.is_empty() && !STOP_WORDS.split(' ').any(|stop| stop == word))
        .map(|word| stem(&word))
}

/// Cuts the commonest endings off.
fn stem(word: &str) -> String {
    let endings =
        [("ies", "y"), ("ing", ""), ("edly", ""), ("ed", ""), ("es", ""), ("s", ""), ("ly", "")];
    for (ending, instead) in endings {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.chars().count() > 2) {
            return format!("{stem}{instead}");
        }
    }
    word.to_owned()
}
