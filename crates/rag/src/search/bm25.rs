//! BM25: how much a lexeme's occurrences in a document say.

/// The arithmetic of BM25 over one collection. Counts come from the caller, who may estimate them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bm25 {
    /// Term frequency saturation.
    pub k1: f64,
    /// Length normalization, 0 (none) to 1 (full).
    pub b: f64,
    /// Documents in the collection.
    pub documents: f64,
    /// Mean length of a document, in lexemes.
    pub average_length: f64,
}

impl Bm25 {
    /// BM25 as Anserini tunes it for passages: `k1` 0.9, `b` 0.4.
    pub fn new(documents: f64, average_length: f64) -> Self {
        Self { k1: 0.9, b: 0.4, documents, average_length }
    }

    /// Weight of a lexeme that `document_frequency` documents hold: Lucene's form, never negative.
    /// An estimate above the number of documents counts as all of them.
    pub fn idf(&self, document_frequency: f64) -> f64 {
        let documents = self.documents.max(0.0);
        let frequency = document_frequency.clamp(0.0, documents);
        (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln()
    }

    /// The summand of `occurrences` of a lexeme of weight `idf` in the score of a document of `length`
    /// lexemes. At most `idf * (k1 + 1)`.
    pub fn score(&self, idf: f64, occurrences: f64, length: f64) -> f64 {
        if occurrences > 0.0 { idf * self.impact(occurrences, length.max(0.0)) } else { 0.0 }
    }

    /// The same for a weight of 1. In this order of operations rounding cannot make more occurrences or a shorter length count less,
    /// so that bounds computed by it hold to the last bit.
    pub fn impact(&self, occurrences: f64, length: f64) -> f64 {
        let relative_length =
            if self.average_length > 0.0 { length / self.average_length } else { 1.0 };
        let saturation = self.k1 * (1.0 - self.b + self.b * relative_length);
        (self.k1 + 1.0) / (1.0 + saturation / occurrences)
    }
}

/// A question's lexemes, each with its weight: what the score of a document needs besides the document's own lexemes.
#[derive(Debug, Clone)]
pub struct Weights<'a> {
    bm25: Bm25,
    /// In ascending order of the lexemes' bytes.
    lexemes: Vec<(&'a [u8], f64)>,
}

impl<'a> Weights<'a> {
    /// Of lexemes in ascending order of their bytes.
    pub fn new(bm25: Bm25, lexemes: impl Iterator<Item = (&'a str, f64)>) -> Self {
        Self { bm25, lexemes: lexemes.map(|(lexeme, idf)| (lexeme.as_bytes(), idf)).collect() }
    }

    /// What no document's score exceeds: that of one with all lexemes of the question, each as often as one likes.
    pub fn highest(&self) -> f64 {
        self.lexemes.iter().map(|(_, idf)| idf * (self.bm25.k1 + 1.0)).sum()
    }

    /// Weight of a lexeme that a single document holds.
    pub fn rarest(&self) -> f64 {
        self.bm25.idf(1.0)
    }

    /// The score of a document by its lexemes, each once with its occurrences, in ascending order of their bytes.
    pub fn score<'d>(&self, document: impl Iterator<Item = (&'d [u8], usize)>) -> f64 {
        let mut rest = &self.lexemes[..];
        let mut held = Vec::new();
        let mut length = 0;
        for (lexeme, occurrences) in document {
            length += occurrences;
            while let Some((&(wanted, idf), others)) = rest.split_first()
                && wanted <= lexeme
            {
                if wanted == lexeme {
                    held.push((idf, occurrences));
                }
                rest = others;
            }
        }
        let score = |(idf, n): &(f64, usize)| self.bm25.score(*idf, *n as f64, length as f64);
        // The sum of nothing is -0.
        held.iter().map(score).fold(0.0, |sum, score| sum + score)
    }
}
