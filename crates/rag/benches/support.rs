//! How well claims are told from corrupted ones: `RAG_PG_SQUAD` names a directory with `passages.jsonl` and `questions.jsonl`.
//!
//! True claims are sentences of passages, and paraphrases: people's questions with the answer put where the question word stood. Corrupted
//! ones are both with a negation put in or taken out, a number or a name replaced by one of another passage, or claims of
//! another article. The rules were tuned on one half of the articles; the other is reported too. Evidence is the sentence that holds the accepted answer. Also prints what verifying an answer of five claims takes.
use rag::answer::support_of;
use rag::chunk::sentences;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

/// Every so many questions are used.
const STEP: usize = 5;

struct Case {
    article: String,
    question: String,
    passage: String,
    /// Where the evidence stands in the passage, and what stands before it.
    bytes: Range<usize>,
    before: String,
    evidence: String,
    answer: String,
    paraphrase: Option<String>,
}

fn lines(directory: &str, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{directory}/{name}")).expect("a readable file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// "Who won the cup?" and "Anna": "Anna won the cup."
fn declarative(question: &str, answer: &str) -> Option<String> {
    let words: Vec<&str> = question.trim_end_matches('?').split_whitespace().collect();
    let (first, second) = (words.first()?.to_lowercase(), words.get(1)?.to_lowercase());
    let is_copula = ["is", "was", "are", "were"].contains(&&*second);
    let rest = |n: usize| words[n..].join(" ");
    // Behind a verb of its own, a subject: the answer is something else.
    let is_subject = |word: &str| {
        ["the", "a", "an", "his", "her", "their", "its", "one", "another"].contains(&word)
            || word.starts_with(char::is_uppercase)
    };
    match (&*first, words.get(2)) {
        ("who" | "what", Some(next)) if is_copula && is_subject(next) => {
            Some(format!("{} {second} {answer}.", capital(&rest(2))))
        }
        ("who" | "what", Some(_)) if is_copula => Some(format!("{} {}.", capital(answer), rest(1))),
        ("who", _) if second != "did" => Some(format!("{} {}.", capital(answer), rest(1))),
        ("what" | "which", _) => {
            let verbs = [
                "is", "was", "are", "were", "has", "had", "can", "would", "won", "did", "does",
                "do",
            ];
            let verb = words.iter().position(|word| verbs.contains(word))?;
            let is_plain =
                verb > 1 && !words[verb].starts_with('d') && !is_subject(words.get(verb + 1)?);
            is_plain.then(|| format!("{} {}.", capital(answer), rest(verb)))
        }
        _ => None,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// With a negation more, or one less.
fn negated(claim: &str) -> Option<String> {
    let words: Vec<&str> = claim.split(' ').collect();
    if let Some(at) = words.iter().position(|w| *w == "not") {
        return Some([&words[..at], &words[at + 1..]].concat().join(" "));
    }
    let verbs = [
        "is", "was", "are", "were", "has", "have", "had", "can", "will", "would", "may", "could",
        "should",
    ];
    let at = words.iter().position(|w| verbs.contains(w))?;
    Some([&words[..=at], &["not"], &words[at + 1..]].concat().join(" "))
}

fn is_number(word: &str) -> bool {
    word.trim_matches(|c: char| !c.is_alphanumeric()).parse::<f64>().is_ok()
}

fn is_name(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.len() > 3
        && word.starts_with(char::is_uppercase)
        && word.chars().skip(1).all(char::is_lowercase)
}

/// With one word of a kind, not the first, replaced by one of `other` that it does not have.
fn swapped(claim: &str, other: &str, is: fn(&str) -> bool, evidence: &str) -> Option<String> {
    let at = claim.split(' ').enumerate().skip(1).find(|(_, word)| is(word))?.0;
    let core = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let found =
        other.split(' ').skip(1).map(core).find(|word| is(word) && !evidence.contains(&**word))?;
    let words: Vec<&str> = claim.split(' ').collect();
    let new = words[at].replace(&core(words[at]), &found);
    Some(
        words
            .iter()
            .enumerate()
            .map(|(i, word)| if i == at { &*new } else { *word })
            .collect::<Vec<_>>()
            .join(" "),
    )
}

fn cases(directory: &str) -> Vec<Case> {
    let passages: BTreeMap<String, Value> = lines(directory, "passages.jsonl")
        .into_iter()
        .map(|line| (line["id"].to_string(), line))
        .collect();
    let case = |question: Value| {
        let passage = &passages[&question["passage"].to_string()];
        let (text, answer) =
            (passage["text"].as_str()?, question["answers"][0].as_str()?.to_owned());
        let bytes = sentences(text).find(|bytes| text[bytes.clone()].contains(&answer))?;
        let asked = question["question"].as_str()?.to_owned();
        let paraphrase = declarative(&asked, &answer);
        let evidence = text[bytes.clone()].trim().to_owned();
        let start = bytes.end - text[bytes.clone()].trim_start().len();
        let (before, bytes) = (text[..start].to_owned(), start..start + evidence.len());
        Some(Case {
            article: passage["title"].to_string(),
            question: asked,
            passage: text.to_owned(),
            bytes,
            before,
            evidence,
            answer,
            paraphrase,
        })
    };
    lines(directory, "questions.jsonl").into_iter().step_by(STEP).filter_map(case).collect()
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let Ok(directory) = std::env::var("RAG_PG_SQUAD") else {
        println!("figure\tsupport of claims\tnot measured\tset RAG_PG_SQUAD");
        return;
    };
    let is_verbose = std::env::var("RAG_PG_VERBOSE").is_ok();
    let cases = cases(&directory);
    let mut halves: [BTreeMap<&str, (usize, usize)>; 2] = Default::default();
    let mut count = |kind: &'static str, claim: Option<String>, case: &Case| {
        let Some(claim) = claim else { return };
        let result = support_of(&claim, &[(&case.passage, case.bytes.clone())], &case.question);
        // Articles by turns: the titles of one half say nothing about those of the other.
        let half = case.article.bytes().map(usize::from).sum::<usize>() % 2;
        let (all, held) = halves[half].entry(kind).or_default();
        *all += 1;
        *held += usize::from(result.is_ok());
        if is_verbose && half == 0 && result.is_ok() == kind.starts_with('-') {
            println!("{kind}: {claim}\n    {}\n    {result:?}", case.evidence);
        }
    };
    for (i, case) in cases.iter().enumerate() {
        let Case { article, evidence, answer, paraphrase, .. } = case;
        let other = &cases[(i + cases.len() / 2) % cases.len()];
        count("+ true sentences", Some(evidence.clone()), case);
        count("+ paraphrases", paraphrase.clone(), case);
        count("- sentences negated", negated(evidence), case);
        count("- paraphrases negated", paraphrase.as_deref().and_then(negated), case);
        count("- another number", swapped(evidence, &other.evidence, is_number, evidence), case);
        let beside = swapped(evidence, &case.before, is_name, evidence);
        count("- another name of its passage", beside, case);
        count("- another name", swapped(evidence, &other.evidence, is_name, evidence), case);
        let wrong = paraphrase
            .as_ref()
            .filter(|_| !evidence.contains(&other.answer))
            .map(|text| text.replace(answer.as_str(), &other.answer));
        count("- another answer", wrong.filter(|text| Some(text) != paraphrase.as_ref()), case);
        if *article != other.article {
            count("- another article", Some(other.evidence.clone()), case);
            count("- another article, paraphrases", other.paraphrase.clone(), case);
        }
    }
    for (counts, half) in halves.iter().zip(["", ", held out"]) {
        report(counts, half);
    }
    let started = Instant::now();
    let rounds = 200;
    for five in cases.chunks_exact(5).take(rounds) {
        for case in five {
            let _ = support_of(
                case.paraphrase.as_deref().unwrap_or(&case.evidence),
                &[(&case.passage, case.bytes.clone())],
                &case.question,
            );
        }
    }
    let took = started.elapsed().as_secs_f64() * 1e3 / rounds as f64;
    println!("figure\tjudging five claims\t{took:.2} ms\tat most 15 ms");
}

/// Prints the shares of accepted claims.
fn report(counts: &BTreeMap<&str, (usize, usize)>, half: &str) {
    for sign in ["+", "-"] {
        let (all, held) = counts
            .iter()
            .filter(|(kind, _)| kind.starts_with(sign))
            .fold((0, 0), |sum, (_, (a, h))| (sum.0 + a, sum.1 + h));
        for (kind, (all, held)) in counts.iter().filter(|(kind, _)| kind.starts_with(sign)) {
            println!(
                "figure\taccepted of {all} claims, {kind}{half}\t{:.1} %\t",
                100.0 * *held as f64 / *all as f64
            );
        }
        let bar = if sign == "+" { "at least 90 %" } else { "at most 5 %" };
        println!(
            "figure\taccepted of {all} claims, {sign} all{half}\t{:.1} %\t{bar}",
            100.0 * held as f64 / all as f64
        );
    }
}
