//! A search explained: every candidate with what each stage made of it, as a readable text.
use std::fmt::Write as _;

/// Longest part of a chunk's text in a line, in characters.
const EXCERPT: usize = 60;

/// A search and its candidates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// Name of the collection.
    pub collection: String,
    /// The query.
    pub query: String,
    /// Name of the model.
    pub model: String,
    /// Fingerprint of the model.
    pub fingerprint: String,
    /// The generation searched.
    pub generation: i32,
    /// How candidates were generated.
    pub strategy: String,
    /// How each leg got at its chunks.
    pub legs: Vec<Leg>,
    /// The value that orders the candidates.
    pub order: String,
    /// Deviations from the request.
    pub notes: Vec<String>,
    /// Milliseconds per step, in the order of the steps.
    pub times: Vec<(&'static str, f64)>,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// How a leg got at its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// `dense` or `lexical`.
    pub name: &'static str,
    /// The index, or the table that was read in full; `None` when the leg had nothing to go by.
    pub access: Option<String>,
    /// The search condition.
    pub wanted: Option<String>,
    /// Candidates with a rank in it.
    pub found: usize,
}

/// A candidate with its figures, as far as it has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Place in the order, from 1.
    pub rank: Option<usize>,
    /// Its identifier.
    pub chunk_id: i64,
    /// The value that orders the candidates.
    pub score: Option<f64>,
    /// Rank by distance.
    pub dense_rank: Option<i32>,
    /// Rank by BM25.
    pub lexical_rank: Option<i32>,
    /// Reciprocal rank fusion.
    pub rrf: f64,
    /// Cosine with the question.
    pub similarity: Option<f64>,
    /// BM25.
    pub bm25: Option<f64>,
    /// `MaxSim`.
    pub max_sim: Option<f64>,
    /// Whether it is part of the result.
    pub is_kept: bool,
    /// Why it is, or why not.
    pub reason: String,
    /// Its text.
    pub content: String,
}

impl Explanation {
    /// The lines of the text form.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("Search of collection \"{}\": {}", self.collection, excerpt(&self.query)),
            format!(
                "  Model: {} ({:.12}), generation {}",
                self.model, self.fingerprint, self.generation
            ),
        ];
        lines.push(format!("  Strategy: {}", self.strategy));
        lines.extend(self.legs.iter().map(Leg::line));
        lines.push(format!("  Order: {}", self.order));
        lines.extend(self.notes.iter().map(|note| format!("  Note: {note}")));
        let times: Vec<String> =
            self.times.iter().map(|(step, ms)| format!("{step} {ms:.1} ms")).collect();
        lines.push(format!("  Time: {}", times.join(", ")));
        let kept = self.candidates.iter().filter(|candidate| candidate.is_kept).count();
        lines.push(format!(
            "  Candidates: {}, of which {kept} are the result",
            self.candidates.len()
        ));
        if !self.candidates.is_empty() {
            lines.push(String::new());
            lines.push(HEADER.to_owned());
            lines.extend(self.candidates.iter().map(Candidate::line));
        }
        lines
    }
}

impl Leg {
    fn line(&self) -> String {
        let Self { name, access, wanted, found } = self;
        let access = access.as_deref().unwrap_or("left out");
        let mut line = format!("  Leg {name}: {access}");
        if let Some(wanted) = wanted {
            let _ = write!(line, ", {wanted}");
        }
        if self.access.is_some() {
            let _ = write!(line, "; {found} candidates");
        }
        line
    }
}

const HEADER: &str =
    " rank      chunk    score  dense lexical    rrf  cosine    bm25  maxsim  why; content";

impl Candidate {
    fn line(&self) -> String {
        let Self { chunk_id, rrf, reason, .. } = self;
        format!(
            "{:>5} {chunk_id:>10} {:>8} {:>6} {:>7} {rrf:>6.4} {:>7} {:>7} {:>7}  {reason}; {}",
            shown(self.rank),
            decimal(self.score),
            shown(self.dense_rank),
            shown(self.lexical_rank),
            decimal(self.similarity),
            decimal(self.bm25),
            decimal(self.max_sim),
            excerpt(&self.content),
        )
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn decimal(value: Option<f64>) -> String {
    shown(value.map(|value| format!("{value:.3}")))
}

/// The beginning of a text in one line.
fn excerpt(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(EXCERPT).collect();
    let line = words.join(" ");
    if line.chars().count() <= EXCERPT {
        return line;
    }
    let start: String = line.chars().take(EXCERPT - 1).collect();
    start + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(rank: Option<usize>, content: &str) -> Candidate {
        Candidate {
            rank,
            chunk_id: 12,
            score: rank.map(|_| 1.5),
            dense_rank: Some(1),
            lexical_rank: None,
            rrf: 0.0909,
            similarity: Some(0.75),
            bm25: Some(0.0),
            max_sim: None,
            is_kept: rank == Some(1),
            reason: "one of the best 1".to_owned(),
            content: content.to_owned(),
        }
    }

    #[test]
    fn every_candidate_has_a_line_and_every_column_its_place() {
        let long = "word ".repeat(100);
        let explanation = Explanation {
            candidates: vec![candidate(Some(1), "a\n b"), candidate(None, &long)],
            legs: vec![Leg { name: "dense", access: None, wanted: None, found: 0 }],
            ..Explanation::default()
        };
        let lines = explanation.lines();
        let start = lines.iter().position(|line| line == HEADER).unwrap();
        assert_eq!(lines.len(), start + 3);
        assert!(lines[start + 1].ends_with("one of the best 1; a b"));
        assert!(lines[start + 2].ends_with('…'));
        assert!(lines.iter().any(|line| line == "  Leg dense: left out"));
        assert!(lines.iter().any(|line| line.contains("Candidates: 2, of which 1 ")));
        let why = HEADER.find("why").unwrap();
        assert_eq!(lines[start + 1].find("one of").unwrap(), why);
        assert_eq!(lines[start + 2].find("one of").unwrap(), why);
    }

    #[test]
    fn an_explanation_without_candidates_says_so() {
        let lines = Explanation::default().lines();
        assert!(lines.last().unwrap().contains("Candidates: 0"));
    }
}
