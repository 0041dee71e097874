//! Answers judged by those that are accepted, in the way of `SQuAD`'s evaluation.
use super::quality::median;
use crate::answer::Status;
use std::collections::HashMap;

/// How well one answer agrees with the accepted ones; of several accepted the best counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// It is one of them, but for case, punctuation and articles.
    pub exact: bool,
    /// It holds one of them.
    pub contained: bool,
    /// Harmonic mean of precision and recall of its words.
    pub f1: f64,
}

impl Agreement {
    /// Compares an answer, which may have markers such as `[1]`, with `accepted`.
    pub fn of<'a>(answer: &str, accepted: impl IntoIterator<Item = &'a str>) -> Self {
        let answer = words(&without_markers(answer));
        let mut best = Self::default();
        for accepted in accepted.into_iter().map(words).filter(|words| !words.is_empty()) {
            best.exact |= answer == accepted;
            best.contained |= answer.windows(accepted.len()).any(|part| part == accepted);
            best.f1 = best.f1.max(f1(&answer, &accepted));
        }
        best
    }
}

/// The words of a text in lower case, without punctuation and articles.
fn words(text: &str) -> Vec<String> {
    let text: String = text
        .chars()
        .filter(|c| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '-' | '_' | '/'))
        .map(|c| if matches!(c, '-' | '_' | '/') { ' ' } else { c })
        .collect();
    let words = text.split_whitespace().map(str::to_lowercase);
    words.filter(|word| !["a", "an", "the"].contains(&word.as_str())).collect()
}

/// A text without the markers of its citations.
fn without_markers(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let digits = rest[start + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let is_marker = digits > 0 && rest[start + 1 + digits..].starts_with(']');
        let end = if is_marker { start + digits + 2 } else { start + 1 };
        kept.push_str(&rest[..if is_marker { start } else { end }]);
        rest = &rest[end..];
    }
    kept + rest
}

fn f1(answer: &[String], accepted: &[String]) -> f64 {
    let mut open: HashMap<&str, usize> = HashMap::new();
    for word in accepted {
        *open.entry(word).or_default() += 1;
    }
    let mut common = 0.0;
    for word in answer {
        if let Some(count) = open.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            common += 1.0;
        }
    }
    if common == 0.0 { 0.0 } else { 2.0 * common / (answer.len() + accepted.len()) as f64 }
}

/// What became of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Whether the question has an accepted answer.
    pub is_answerable: bool,
    /// Whether it was answered.
    pub is_answered: bool,
    /// How the answer agrees with the accepted ones.
    pub agreement: Agreement,
    /// Its claims; of quoted sentences, the quotes.
    pub claims: usize,
    /// Those of its claims that quotes support.
    pub supported: usize,
    /// What the model cost; `None` without a price.
    pub cost: Option<f64>,
    /// Time of search and answer.
    pub milliseconds: f64,
}

impl Judged {
    /// Judges an answer; a question without `accepted` answers ought to be refused.
    pub fn new(status: &str, answer: &str, accepted: &[String]) -> Self {
        let is_answered = status == Status::Answered.as_str();
        let accepted = || accepted.iter().map(String::as_str);
        let agreement =
            if is_answered { Agreement::of(answer, accepted()) } else { Agreement::default() };
        Self {
            is_answerable: accepted().next().is_some(),
            is_answered,
            agreement,
            claims: 0,
            supported: 0,
            cost: None,
            milliseconds: 0.0,
        }
    }
}

/// Means over questions; `None` where there is nothing to take a mean of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Questions.
    pub asked: usize,
    /// Questions that have an accepted answer.
    pub answerable: usize,
    /// Share of the answerable ones that were answered.
    pub answered: Option<f64>,
    /// Share of the answerable ones whose answer is an accepted one.
    pub exact: Option<f64>,
    /// Share of the answerable ones whose answer holds an accepted one.
    pub contained: Option<f64>,
    /// Mean over the answerable ones, those that were refused counting 0.
    pub f1: Option<f64>,
    /// Share of the unanswerable ones that were refused.
    pub refused: Option<f64>,
    /// Share of all claims that quotes support.
    pub supported: Option<f64>,
    /// Sum of what is known.
    pub cost: Option<f64>,
    /// Median of the times.
    pub p50_ms: Option<f64>,
}

impl Summary {
    /// Sums up.
    pub fn of(judged: &[Judged]) -> Self {
        let answerable: Vec<&Judged> = judged.iter().filter(|one| one.is_answerable).collect();
        let unanswerable: Vec<&Judged> = judged.iter().filter(|one| !one.is_answerable).collect();
        let mean = |of: &[&Judged], value: &dyn Fn(&Judged) -> f64| {
            (!of.is_empty()).then(|| of.iter().map(|one| value(one)).sum::<f64>() / of.len() as f64)
        };
        let share = |of: &[&Judged], is: &dyn Fn(&Judged) -> bool| {
            mean(of, &|one| f64::from(u8::from(is(one))))
        };
        let claims: usize = judged.iter().map(|one| one.claims).sum();
        let supported: usize = judged.iter().map(|one| one.supported).sum();
        let times: Vec<f64> = judged.iter().map(|one| one.milliseconds).collect();
        Self {
            asked: judged.len(),
            answerable: answerable.len(),
            answered: share(&answerable, &|one| one.is_answered),
            exact: share(&answerable, &|one| one.agreement.exact),
            contained: share(&answerable, &|one| one.agreement.contained),
            f1: mean(&answerable, &|one| one.agreement.f1),
            refused: share(&unanswerable, &|one| !one.is_answered),
            supported: (claims > 0).then(|| supported as f64 / claims as f64),
            cost: judged.iter().filter_map(|one| one.cost).reduce(|sum, cost| sum + cost),
            p50_ms: (!times.is_empty()).then(|| median(&times)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_that_of_squad() {
        let of = |answer: &str, accepted: &[&str]| Agreement::of(answer, accepted.iter().copied());
        let exact = of("The Denver Broncos! [1]", &["Denver Broncos"]);
        assert_eq!(exact, Agreement { exact: true, contained: true, f1: 1.0 });
        let within =
            of("It was won by the Denver Broncos. [1] A game. [2]", &["x", "Denver Broncos"]);
        assert!(!within.exact && within.contained);
        assert!((within.f1 - 2.0 * 2.0 / 9.0).abs() < 1e-9, "{within:?}");
        assert!(!of("Denver won, Broncos lost", &["Denver Broncos"]).contained);
        assert_eq!(of("anything", &[]), Agreement::default());
        assert_eq!(of("", &["x"]), Agreement::default());
        assert!(of("a[i] of [12] x]", &["ai of x"]).contained);
        assert!(of("well-known", &["well known"]).exact);
    }

    #[test]
    fn shares_are_of_the_questions_they_are_about() {
        let one = |status: &str, answer: &str, accepted: &[&str]| {
            let accepted: Vec<String> = accepted.iter().map(|&text| text.to_owned()).collect();
            Judged {
                claims: 2,
                supported: 1,
                milliseconds: 4.0,
                ..Judged::new(status, answer, &accepted)
            }
        };
        let judged = [
            one("answered", "Red. [1]", &["red"]),
            one("no_answer", "The passages do not answer the question.", &["question"]),
            Judged { cost: Some(0.5), ..one("answered", "Blue.", &[]) },
            one("no_answer", "", &[]),
        ];
        let summary = Summary::of(&judged);
        assert_eq!((summary.asked, summary.answerable), (4, 2));
        for share in [
            summary.answered,
            summary.exact,
            summary.contained,
            summary.f1,
            summary.refused,
            summary.supported,
            summary.cost,
        ] {
            assert_eq!(share, Some(0.5));
        }
        assert_eq!(summary.p50_ms, Some(4.0));
        assert_eq!(Summary::of(&[]), Summary::default());
    }
}
