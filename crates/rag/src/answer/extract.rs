//! Answers of sentences: those that match the question best, quoted verbatim with markers.
use super::blocks::ends_sentence;
use super::quotable::{Candidate, Form, Quotables, quotables};
use super::words::{QuestionWords, is_anaphoric};
use super::{Answer, Citation, Options, Passage, Status};
use crate::Result;
use crate::model::{Checkpoint, TokenVectors};
use crate::rerank::{MaxSim, TokenBits, standard_scores};
use std::fmt::Write as _;
use std::ops::Range;

// Weights are in standard deviations of a match over the candidates. They and the penalties are those that serve the
// development set of SQuAD best, see docs/reference/answer.md.

/// Weight of the passage's own rank beside the match of a candidate.
const PASSAGE_WEIGHT: f64 = 0.2;
/// Weight of the question's words that stand in the candidate or in its heading path.
const WORDS_WEIGHT: f64 = 0.75;
/// Weight of a number, or of a name, where the question asks for one.
const NUMBER_WEIGHT: f64 = 1.33;
const NAME_WEIGHT: f64 = 0.3;
/// Weight of a reason, a default, a way or a condition where the question asks for one.
const KIND_WEIGHT: f64 = 1.0;
/// Weight of a definition whose term the question names.
const TERM_WEIGHT: f64 = 2.0;
/// What a sentence loses that refers to the one before, and what a pair gains whose second does.
const ANAPHORA_PENALTY: f64 = 0.25;
const ANAPHORA_WEIGHT: f64 = 0.4;
/// What prose loses that does not end as a sentence does, such as a title.
const FRAGMENT_PENALTY: f64 = 0.2;
/// What two sentences lose of which one has nothing to do with the question; rows and items, which say less than a sentence;
/// and what is longer.
const PAIR_PENALTY: f64 = 0.7;
const ROW_PENALTY: f64 = 0.1;
const BLOCK_PENALTY: f64 = 0.25;
/// What a candidate loses for each before it in its section, up to six.
const PLACE_PENALTY: f64 = 0.02;
/// Weight of what a further sentence says that those chosen do not.
const NOVELTY_WEIGHT: f64 = 2.0;
/// A further sentence must match the question at least this well beside the first: an answer is not
/// filled up with what has nothing to do with it.
const MIN_MATCH_SHARE: f32 = 0.8;
/// Share of the question's words in the first quote that a further one must have too.
const MIN_WORDS_SHARE: f32 = 0.1;
/// How much a match of the heading, the introduction or the column counts beside one of the text itself.
const CONTEXT_SHARE: f32 = 0.9;
/// What a confidence falls by when none of the question's words stands in the passage, and when none of its names and numbers does.
const WORDS_PENALTY: f32 = 0.20;
const NAMES_PENALTY: f32 = 0.10;
/// What it falls by when a number is asked for and no quote has one.
const NUMBER_PENALTY: f32 = 0.20;

/// Picks the parts of `passages` that answer a `question`, whose token vectors are `tokens`.
///
/// A passage's headings, questions and introductions ("as follows:") are not quoted by themselves; what follows
/// them profits from their match instead. An error when bits and question differ in dimensions.
pub fn extract(
    question: &str,
    tokens: &TokenVectors,
    passages: &[Passage<'_>],
    options: &Options,
    checkpoint: Checkpoint<'_>,
) -> Result<Answer> {
    let mut pool = Pool::default();
    for (position, passage) in passages.iter().enumerate() {
        checkpoint()?;
        pool.add(position, passage);
    }
    let max_sim = MaxSim::new(tokens, &pool.bits, checkpoint)?;
    let words = QuestionWords::new(question);
    let scores = Scores::new(&pool, passages, &max_sim, &words);
    let chosen = scores.pick(&pool, options.max_sentences);
    let none = Answer::none(options);
    let Some(&best) = chosen.first() else { return Ok(none) };
    let quote = |i: &usize| {
        let Pooled { passage, candidate, .. } = &pool.candidates[*i];
        &passages[*passage].text[candidate.bytes.clone()]
    };
    let is_off = chosen.iter().map(quote).all(|quote| words.lacks_number(quote));
    let confidence = scores.confidence(&pool, best) - if is_off { NUMBER_PENALTY } else { 0.0 };
    if f64::from(confidence) < none.threshold {
        let refused = cite_in_text_order(passages, &pool, &[best], &scores).pop();
        return Ok(Answer { confidence, refused, ..none });
    }
    let citations = cite_in_text_order(passages, &pool, &chosen, &scores);
    let text = text(&citations);
    Ok(Answer { status: Status::Answered, text, citations, confidence, ..none })
}

impl Passage<'_> {
    /// Bits of the tokens that start inside `bytes`.
    fn bits_of(&self, bytes: &Range<usize>) -> TokenBits<'_> {
        let before = |byte: usize| {
            self.heading_tokens + self.tokens.partition_point(|token| token.start < byte)
        };
        self.bits.tokens(before(bytes.start)..before(bytes.end))
    }

    /// Whether tokens inside `bytes` did not fit the model's window.
    fn is_beyond_bits(&self, bytes: &Range<usize>) -> bool {
        let tokens = self.tokens.partition_point(|token| token.start < bytes.end);
        self.heading_tokens + tokens > self.bits.len()
    }
}

/// The candidates of all passages, and the bits of their pieces.
#[derive(Default)]
struct Pool<'a> {
    /// Of every piece; of each passage first those of its heading path.
    bits: Vec<TokenBits<'a>>,
    candidates: Vec<Pooled>,
}

/// A candidate among those of all passages; its pieces are numbered among all pieces.
struct Pooled {
    passage: usize,
    candidate: Candidate,
    /// Bytes of what says what it is about.
    context: Vec<Range<usize>>,
}

impl<'a> Pool<'a> {
    fn add(&mut self, position: usize, passage: &'a Passage<'a>) {
        let Quotables { pieces, candidates } =
            quotables(passage.text, passage.span.clone(), passage.heading);
        let path = self.bits.len();
        self.bits.push(passage.bits.tokens(0..passage.heading_tokens));
        self.bits.extend(pieces.iter().map(|bytes| passage.bits_of(bytes)));
        for mut candidate in candidates {
            let own = path + 1 + candidate.own.start..path + 1 + candidate.own.end;
            let is_partly_known = own.len() > 1 && passage.is_beyond_bits(&candidate.bytes);
            if is_partly_known || self.bits[own.clone()].iter().all(TokenBits::is_empty) {
                continue;
            }
            let context = candidate.context.iter().map(|piece| pieces[*piece].clone()).collect();
            candidate.context.iter_mut().for_each(|piece| *piece += path + 1);
            candidate.context.push(path);
            candidate.own = own;
            self.candidates.push(Pooled { passage: position, candidate, context });
        }
    }
}

/// How well each candidate answers.
struct Scores {
    /// MaxSim of the question with the candidate's own text, and with its context too.
    own: Vec<f32>,
    whole: Vec<f32>,
    /// Shares of the question's words in the candidate and its heading path.
    words_held: Vec<f32>,
    /// What the order is by.
    value: Vec<f64>,
    /// For every candidate and token of the question, the highest cosine in its own text.
    rows: Vec<Vec<f32>>,
    /// Weights of the question's tokens.
    weights: Vec<f32>,
    /// Standard deviation of the weighted matches.
    deviation: f64,
    /// What each passage lacks of the question's words, as a penalty.
    lacks: Vec<f32>,
}

impl Scores {
    fn new(
        pool: &Pool<'_>,
        passages: &[Passage<'_>],
        max_sim: &MaxSim,
        words: &QuestionWords,
    ) -> Self {
        let weights = max_sim.contrasts();
        let best = |pieces: &mut dyn Iterator<Item = usize>| -> Vec<f32> {
            let mut best = vec![-1.0_f32; weights.len()];
            for piece in pieces {
                best.iter_mut().zip(max_sim.of(piece)).for_each(|(x, found)| *x = x.max(*found));
            }
            best
        };
        let rows: Vec<Vec<f32>> =
            pool.candidates.iter().map(|c| best(&mut c.candidate.own.clone())).collect();
        let joined = |(row, Pooled { candidate, .. }): (&Vec<f32>, &Pooled)| -> Vec<f32> {
            let context = best(&mut candidate.context.iter().copied());
            row.iter().zip(context).map(|(x, context)| x.max(CONTEXT_SHARE * context)).collect()
        };
        let joined: Vec<Vec<f32>> = rows.iter().zip(&pool.candidates).map(joined).collect();
        let matches: Vec<f64> =
            joined.iter().map(|row| f64::from(weighted_mean(row, &weights))).collect();
        let halves = |Pooled { candidate, .. }: &Pooled| {
            let of = |piece: usize| f64::from(weighted_mean(max_sim.of(piece), &weights)).max(0.0);
            // The term that two sentences define is none of them.
            let first = candidate.own.start + usize::from(candidate.is_definition);
            [of(first.min(candidate.own.end - 1)), of(candidate.own.end - 1)]
        };
        let halves: Vec<[f64; 2]> = pool.candidates.iter().map(halves).collect();
        let held = |Pooled { passage, candidate, context }: &Pooled| {
            let Passage { text, heading, .. } = &passages[*passage];
            let own = [&text[candidate.bytes.clone()], *heading];
            let about = context.iter().map(|bytes| &text[bytes.clone()]);
            (words.covered(own.into_iter()), words.covered(about.chain(own)))
        };
        let (words_held, words_about): (Vec<f32>, Vec<f32>) =
            pool.candidates.iter().map(held).unzip();
        let lack = |passage: &Passage<'_>| {
            let texts = || [passage.heading, passage.text].into_iter();
            WORDS_PENALTY * words.lacked(texts())
                + NAMES_PENALTY * (1.0 - words.names_covered(texts()))
        };
        Self {
            own: rows.iter().map(|row| mean(row)).collect(),
            whole: joined.iter().map(|row| mean(row)).collect(),
            value: values(pool, passages, words, &matches, &halves, &words_about),
            words_held,
            rows,
            deviation: deviation(&matches).max(f64::EPSILON),
            weights,
            lacks: passages.iter().map(lack).collect(),
        }
    }

    /// How sure it is that a candidate answers: its MaxSim, less what its passage lacks of the question's words.
    fn confidence(&self, pool: &Pool<'_>, best: usize) -> f32 {
        (self.whole[best] - self.lacks[pool.candidates[best].passage]).max(-1.0)
    }

    /// Positions of up to `most` candidates, the best first.
    fn pick(&self, pool: &Pool<'_>, most: usize) -> Vec<usize> {
        let candidates = &pool.candidates;
        let has_quotable = candidates.iter().any(|c| c.candidate.form != Form::Lead);
        let is_quotable = |i: usize| !(has_quotable && candidates[i].candidate.form == Form::Lead);
        let mut chosen: Vec<usize> = Vec::new();
        let mut covered = vec![f32::MAX; self.weights.len()];
        while chosen.len() < most {
            let value = |i: usize| {
                self.value[i] + NOVELTY_WEIGHT * self.novelty(i, &covered) / self.deviation
            };
            let is_as_good =
                |i: usize| chosen.first().is_none_or(|&first| self.is_as_good(i, first));
            let overlaps =
                |i: usize| chosen.iter().any(|&c| candidates[i].overlaps(&candidates[c]));
            let open = (0..candidates.len())
                .filter(|&i| is_quotable(i) && is_as_good(i) && !overlaps(i))
                // The first of equals, so that the passages' order decides.
                .rev();
            let Some(next) = open.max_by(|&a, &b| value(a).total_cmp(&value(b))) else { break };
            for (known, &found) in covered.iter_mut().zip(&self.rows[next]) {
                *known = if chosen.is_empty() { found } else { known.max(found) };
            }
            chosen.push(next);
        }
        chosen
    }

    /// What a candidate matches of the question better than is `covered`.
    fn novelty(&self, i: usize, covered: &[f32]) -> f64 {
        let total = self.weights.iter().sum::<f32>().max(f32::EPSILON);
        let gains = self.rows[i].iter().zip(covered).map(|(x, known)| (x - known).max(0.0));
        f64::from(gains.zip(&self.weights).map(|(gain, weight)| gain * weight).sum::<f32>() / total)
    }

    /// Whether a further quote has to do with the question nearly as much as the first.
    fn is_as_good(&self, i: usize, first: usize) -> bool {
        self.whole[i] >= MIN_MATCH_SHARE * self.whole[first].max(0.0)
            && self.words_held[i] >= MIN_WORDS_SHARE * self.words_held[first]
    }
}

impl Pooled {
    fn overlaps(&self, other: &Self) -> bool {
        let (own, others) = (&self.candidate.bytes, &other.candidate.bytes);
        self.passage == other.passage && own.start < others.end && others.start < own.end
    }
}

/// What each candidate is ordered by: its match and its passage's score as standard scores, the question's words in it, whether
/// it gives what is asked for, its form and its place.
fn values(
    pool: &Pool<'_>,
    passages: &[Passage<'_>],
    words: &QuestionWords,
    matches: &[f64],
    halves: &[[f64; 2]],
    words_about: &[f32],
) -> Vec<f64> {
    let ranks: Vec<f64> = passages.iter().map(|passage| passage.score).collect();
    let ranks = standard_scores(&ranks);
    let matches = standard_scores(matches);
    let value = |(((z, held), halves), Pooled { passage, candidate, .. }): (
        ((f64, &f32), &[f64; 2]),
        &Pooled,
    )| {
        let quote = &passages[*passage].text[candidate.bytes.clone()];
        let given = |is: bool, weight: f64| if is { weight } else { 0.0 };
        z + PASSAGE_WEIGHT * ranks[*passage]
            + WORDS_WEIGHT * f64::from(*held)
            + given(words.is_number_given(quote), NUMBER_WEIGHT)
            + given(words.is_name_given(quote), NAME_WEIGHT)
            + given(words.is_kind_given(candidate.shown.as_deref().unwrap_or(quote)), KIND_WEIGHT)
            + given(candidate.is_definition && words.is_named(quote), TERM_WEIGHT)
            + prior(candidate, quote, *halves)
            - PLACE_PENALTY * candidate.place.min(6) as f64
    };
    matches.into_iter().zip(words_about).zip(halves).zip(&pool.candidates).map(value).collect()
}

/// What the form of a candidate counts: of two that match alike the shorter is quoted. `halves` are the matches of its first and its
/// last piece: a sentence that says nothing of the question is no part of a pair, and one that refers to the sentence before
/// calls for that only where it answers itself.
fn prior(candidate: &Candidate, quote: &str, [first, last]: [f64; 2]) -> f64 {
    let uneven = 1.0 - first.min(last) / first.max(last).max(f64::EPSILON);
    let loss = if is_anaphoric(quote) { ANAPHORA_PENALTY } else { 0.0 };
    match candidate.form {
        Form::Sentence if !ends_sentence(quote) => -FRAGMENT_PENALTY - loss,
        Form::Sentence => -loss,
        Form::Pair { refers_back } => {
            let gain = match refers_back {
                true if last >= first => ANAPHORA_WEIGHT,
                true => ANAPHORA_WEIGHT / 2.0,
                false => 0.0,
            };
            gain - PAIR_PENALTY * uneven - loss
        }
        Form::Row | Form::Item => -ROW_PENALTY,
        Form::List | Form::Listing => -BLOCK_PENALTY,
        Form::BareListing => -2.0 * BLOCK_PENALTY,
        Form::Lead => 0.0,
    }
}

fn mean(matches: &[f32]) -> f32 {
    matches.iter().sum::<f32>() / matches.len().max(1) as f32
}

/// The plain mean when all weights are 0.
fn weighted_mean(matches: &[f32], weights: &[f32]) -> f32 {
    let total: f32 = weights.iter().sum();
    if total <= f32::EPSILON {
        return mean(matches);
    }
    matches.iter().zip(weights).map(|(x, weight)| x * weight).sum::<f32>() / total
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Citations of the candidates at `chosen`, the best first. They begin with the passage of
/// the best, and sentences of one passage keep their order, so that it reads as the text does.
fn cite_in_text_order(
    passages: &[Passage<'_>],
    pool: &Pool<'_>,
    chosen: &[usize],
    scores: &Scores,
) -> Vec<Citation> {
    let of = |i: usize| &pool.candidates[i];
    let place = |i: usize| chosen.iter().position(|&c| of(c).passage == of(i).passage);
    let mut order = chosen.to_vec();
    order.sort_by_key(|&i| (place(i), of(i).candidate.bytes.start));
    (1..)
        .zip(order)
        .map(|(marker, i)| {
            let Pooled { passage, candidate, .. } = of(i);
            let (bytes, is_best) = (candidate.bytes.clone(), chosen.first() == Some(&i));
            let text = passages[*passage].text;
            let quote = text[bytes.clone()].to_owned();
            let start = text[..bytes.start].chars().count();
            let chars = start..start + quote.chars().count();
            let shown = candidate.shown.clone().unwrap_or_else(|| quote.clone());
            let score = scores.own[i];
            Citation { marker, passage: *passage, quote, shown, bytes, chars, score, is_best }
        })
        .collect()
}

/// Quotes with their markers: sentences follow each other on a line, what is none (a list item, a
/// line of a table) stands on its own.
fn text(citations: &[Citation]) -> String {
    let mut text = String::new();
    for citation in citations {
        if let Some(previous) = citation.marker.checked_sub(2).map(|i| &citations[i]) {
            let is_prose = ends_sentence(&previous.shown) && ends_sentence(&citation.shown);
            text.push(if is_prose { ' ' } else { '\n' });
        }
        let _ = write!(text, "{} [{}]", citation.shown, citation.marker);
    }
    text
}
