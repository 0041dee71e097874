//! Documents of several kinds, and questions about spans of them.
use rag::chunk::Format;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::{env, fs};

/// Questions asked about a document.
const MOST_ASKED: usize = 10;
/// Passages of an article.
const MOST_PASSAGES: usize = 14;

pub struct Kind {
    pub name: String,
    pub documents: Vec<Document>,
    /// Questions that people ask of all the documents, and phrases that answer them.
    pub people: Vec<(String, Vec<Regex>)>,
}

pub struct Document {
    /// What is chunked; of HTML the source.
    pub source: String,
    pub format: Format,
    /// Questions that are known before the text is: of other documents they are made.
    pub questions: Vec<Asked>,
}

#[derive(Debug, Clone)]
pub struct Asked {
    pub question: String,
    /// What answers it, in bytes of the text.
    pub span: Range<usize>,
}

/// All kinds of texts that this machine has.
pub fn all() -> Vec<Kind> {
    let mut kinds = Vec::new();
    if let Ok(directory) = env::var("RAG_PG_SQUAD") {
        let (prose, dialogue) = articles(&directory);
        kinds.push(Kind { name: "prose".to_owned(), documents: prose, people: Vec::new() });
        kinds.push(Kind { name: "dialogue".to_owned(), documents: dialogue, people: Vec::new() });
    }
    if let Ok(directory) = env::var("RAG_PG_CHUNK_TEXTS") {
        let mut names: Vec<_> = fs::read_dir(directory).expect("a directory").flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        kinds.extend(names.iter().map(|entry| Kind {
            name: entry.file_name().to_string_lossy().into_owned(),
            documents: documents(&entry.path()),
            people: Vec::new(),
        }));
    }
    if let Ok(directory) = env::var("RAG_PG_ASKED_TEXTS") {
        for name in ["docs", "manual"] {
            kinds.push(Kind {
                name: format!("people's questions, {name}"),
                documents: documents(&Path::new(&directory).join(name)),
                people: ["", "_second", "_unseen"]
                    .iter()
                    .flat_map(|set| people(&format!("{name}{set}")))
                    .collect(),
            });
        }
    }
    kinds.retain(|kind| !kind.documents.is_empty());
    kinds
}

fn documents(directory: &Path) -> Vec<Document> {
    let mut files: Vec<_> = fs::read_dir(directory).expect("a directory").flatten().collect();
    files.sort_by_key(fs::DirEntry::file_name);
    let read = |file: &fs::DirEntry| {
        let source = String::from_utf8(fs::read(file.path()).ok()?).ok()?;
        let name = file.file_name().to_string_lossy().into_owned();
        let format = match name.rsplit('.').next()? {
            "html" => Format::Html,
            "md" | "MD" => Format::Markdown,
            _ => Format::Plain,
        };
        Some(Document { source, format, questions: Vec::new() })
    };
    files.iter().filter_map(read).collect()
}

/// The articles of judged passages as prose, with people's questions, and as interviews: some of the questions are asked in them,
/// others are about the answers.
fn articles(directory: &str) -> (Vec<Document>, Vec<Document>) {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let mut asked: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for line in lines(directory, "questions.jsonl") {
        let answer = text(&line["answers"][0]);
        asked.entry(text(&line["passage"])).or_default().push((text(&line["question"]), answer));
    }
    let mut by_title: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in lines(directory, "passages.jsonl") {
        let (title, passage) = (text(&line["title"]), (text(&line["id"]), text(&line["text"])));
        match by_title.last_mut() {
            Some((last, passages)) if *last == title => passages.push(passage),
            _ => by_title.push((title, vec![passage])),
        }
    }
    let none = Vec::new();
    let documents = by_title.iter().enumerate().map(|(i, (_, passages))| {
        let (mut prose, mut talk) = (String::new(), String::new());
        let (mut about_prose, mut about_talk) = (Vec::new(), Vec::new());
        for (id, passage) in passages.iter().take(MOST_PASSAGES) {
            let start = prose.len();
            let questions = asked.get(id).unwrap_or(&none);
            let _ = write!(prose, "{passage}\n\n");
            for sentence in sentences(passage) {
                let is_about = |(_, answer): &&(String, String)| {
                    passage.find(answer.as_str()).is_some_and(|at| sentence.contains(&at))
                };
                let mut questions = questions.iter().filter(is_about);
                let Some((first, _)) = questions.next() else { continue };
                let span = start + sentence.start..start + sentence.end;
                about_prose.push(Asked { question: first.clone(), span });
                let (asks, answers, gap) =
                    if i % 2 == 0 { ("Anna Bell", "Carl Dorn", "\n") } else { ("Q", "A", "\n\n") };
                let _ = write!(talk, "{asks}: {first}{gap}{answers}: ");
                let span = talk.len()..talk.len() + sentence.len();
                let _ = write!(talk, "{}{gap}", &passage[sentence.clone()]);
                let others = questions.map(|(question, _)| question.clone());
                about_talk.extend(others.map(|question| Asked { question, span: span.clone() }));
            }
        }
        let document = |source: String, asked: Vec<Asked>| {
            let questions = spread(asked, MOST_ASKED);
            Document { source, format: Format::Plain, questions }
        };
        (document(prose, about_prose), document(talk, about_talk))
    });
    documents.unzip()
}

/// The questions of a file of `tests/questions`.
fn people(name: &str) -> Vec<(String, Vec<Regex>)> {
    let path = format!("{}/../../tests/questions/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let mut asked: Vec<(String, Vec<Regex>)> = Vec::new();
    for line in fs::read_to_string(path).expect("the questions").lines() {
        if let Some(question) = line.strip_prefix("? ") {
            asked.push((question.to_owned(), Vec::new()));
        } else if let Some(phrase) = line.strip_prefix("= ") {
            asked.last_mut().expect("a question").1.push(phrase_in_text(phrase));
        }
    }
    asked.retain(|(_, phrases)| !phrases.is_empty());
    asked
}

/// A phrase, whatever its case, white space and the marks of Markdown in it.
fn phrase_in_text(phrase: &str) -> Regex {
    let word = |word: &str| {
        word.chars().map(|c| regex::escape(&c.to_string())).collect::<Vec<_>>().join("[`*]*")
    };
    let words: Vec<String> = phrase.split_whitespace().map(word).collect();
    Regex::new(&format!("(?i){}", words.join(r"[\s`*]+"))).expect("a pattern")
}

/// The sentences and entries of a text that hold one of the phrases.
pub fn holding(text: &str, phrases: &[Regex]) -> Vec<Range<usize>> {
    let found = phrases.iter().flat_map(|phrase| phrase.find_iter(text)).map(|m| m.range());
    let around = |phrase: Range<usize>| {
        let start = text[..phrase.start].rfind("\n\n").map_or(0, |at| at + 2);
        let end = text[phrase.end..].find("\n\n").map_or(text.len(), |at| phrase.end + at);
        let parts = units(&text[start..end]).into_iter();
        let mut parts = parts.map(|unit| start + unit.start..start + unit.end);
        parts.find(|unit| unit.start <= phrase.start && phrase.end <= unit.end).unwrap_or(phrase)
    };
    found.map(around).collect()
}

fn spread<T: Clone>(all: Vec<T>, most: usize) -> Vec<T> {
    if all.len() <= most {
        return all;
    }
    (0..most).map(|i| all[i * all.len() / most].clone()).collect()
}

/// Questions about sentences and entries of a text, made by rule.
pub fn questions(text: &str) -> Vec<Asked> {
    let mut all = Vec::new();
    let mut at = 0;
    for paragraph in text.split("\n\n") {
        let start = at;
        at += paragraph.len() + 2;
        for span in units(paragraph) {
            let words = content_words(&paragraph[span.clone()]);
            if (6..=30).contains(&words.len()) && span.len() < 500 {
                let question = altered(&words);
                if question.split(' ').count() < 4 {
                    continue;
                }
                all.push(Asked { question, span: start + span.start..start + span.end });
            }
        }
    }
    spread(all, MOST_ASKED)
}

/// Sentences of a paragraph, or its lines where these are entries of their own.
fn units(paragraph: &str) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut start = 0;
    let lines: Vec<&str> = paragraph.split_inclusive('\n').collect();
    let mut at = 0;
    for (i, line) in lines.iter().enumerate() {
        at += line.len();
        let next = lines.get(i + 1);
        if next.is_none_or(|next| is_entry(next) || is_entry(line) && !next.starts_with(' ')) {
            let entry = &paragraph[start..at];
            units.extend(sentences(entry).into_iter().map(|s| start + s.start..start + s.end));
            start = at;
        }
    }
    units
}

/// Whether a line begins an entry: a list item, a row, a setting.
fn is_entry(line: &str) -> bool {
    let line = line.trim_start();
    ["- ", "* ", "+ ", "o ", "• ", "|"].iter().any(|mark| line.starts_with(mark))
        || line.split(' ').nth(1) == Some("=")
        || line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(". ")
}

/// Sentences by a simple rule: they end with a full stop, a space and a capital letter.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (i, _) in text.match_indices(['.', '!', '?']) {
        let behind = &text[i + 1..];
        let next = behind.trim_start();
        let is_long = i - start > 20;
        if next.len() < behind.len() && next.starts_with(char::is_uppercase) && is_long {
            found.push(start..i + 1);
            start = text.len() - next.len();
        }
    }
    found.push(start..start + text[start..].trim_end().len());
    for range in &mut found {
        let content = &text[range.clone()];
        range.start += content.len() - content.trim_start().len();
    }
    found.retain(|range| range.start < range.end);
    found
}

const STOP_WORDS: &str = "a about after all also an and any are as at be because been before but by can could did do does each for \
    from had has have he her his how if in into is it its may more most must no not of on one only or other our out over she should so \
    some such than that the their them then there these they this to under up use used was we were what when where which while who will \
    with would you your";

/// Words with another that says about the same.
const SYNONYMS: &str = "allow=permit allows=permits begin=start big=large build=construct call=invoke called=invoked change=modify \
    changes=modifications command=instruction contains=holds create=make created=made default=standard delete=remove \
    deleted=removed directory=folder display=show displayed=shown enable=activate enabled=activated error=failure \
    execute=run executed=run fast=quick file=document files=documents find=locate given=specified list=enumeration \
    message=notice need=require new=fresh number=count option=flag options=flags output=result parameter=argument \
    print=write program=application read=load remove=delete removed=deleted returns=yields set=assign show=display \
    size=length specified=given start=begin stop=end string=text support=handling system=machine value=setting \
    values=settings write=store";

/// Words that say something.
fn content_words(text: &str) -> Vec<String> {
    let stop: HashSet<&str> = STOP_WORDS.split_whitespace().collect();
    let is_letters = |word: &&str| word.len() > 2 && word.chars().any(char::is_alphabetic);
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(is_letters)
        .map(str::to_lowercase)
        .filter(|word| !stop.contains(word.as_str()))
        .collect()
}

/// Of the words of a span two thirds, some replaced, in another order: as somebody asks who remembers some of it.
fn altered(words: &[String]) -> String {
    let others: HashMap<&str, &str> =
        SYNONYMS.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let kept: Vec<&str> = words
        .iter()
        .enumerate()
        .filter(|(i, word)| (i + word.len()) % 3 != 0)
        .map(|(_, word)| others.get(word.as_str()).copied().unwrap_or(word))
        .collect();
    let half = kept.len() / 2;
    [&kept[half..], &kept[..half]].concat().join(" ")
}

fn lines(directory: &str, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(directory).join(file)).expect("a readable file");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
