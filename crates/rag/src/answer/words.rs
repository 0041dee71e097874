//! What a question asks for, and which of its words stand in a text. Lists of words are English; in other languages they find
//! nothing and change nothing.
use std::collections::HashSet;

/// English words that questions are made of, and that tell nothing about what is asked.
const COMMON: &str = "a about after all also an and any are as at be been before being between both but by can could did do \
    does during each for from get gets had happen happens has have how i if in into is it its long many may me more most much \
    must my need needs of on one only or other our out over per same shall should so some such than that the their them then \
    there these they this those through to under until up upon use used using very was way we were what when where which while \
    who whom whose why will with without would you your";

/// What asks for a number or a date.
const ASKS_NUMBER: [&str; 23] = [
    "how many",
    "how much",
    "how large",
    "how long",
    "how often",
    "how big",
    "how old",
    "how far",
    "how high",
    "how fast",
    "how tall",
    "which port",
    "what port",
    "percentage",
    "maximum",
    "minimum",
    "longest",
    "default value",
    "what year",
    "which year",
    "when was",
    "when did",
    "what date",
];

/// Of these, what nothing but a number answers. "How long may it be" asks for one too, "how long is it kept" may not.
const NEEDS_NUMBER: [&str; 11] = [
    "how many",
    "how much",
    "how large",
    "how big",
    "how old",
    "how far",
    "how high",
    "how tall",
    "which port",
    "what year",
    "which year",
];

/// Words that stand for a number there.
const NO_NUMBERS: &str = "no none nothing free";

/// What asks for a name.
const ASKS_NAME: [&str; 6] = ["who", "whom", "whose", "where", "which country", "which city"];

/// What asks for a reason, or for what something is good or bad for.
const ASKS_REASON: [&str; 7] =
    ["why", "danger", "risk", "reason", "purpose", "good for", "what for"];

/// What asks for what holds unless something else is said, and what says so.
const ASKS_DEFAULT: [&str; 2] = ["default", "defaults"];
const DEFAULTS: [&str; 4] = ["defaults to", "is the default", "by default", "default: "];
/// Words between "default" and "is" at most: "the default index method is".
const DEFAULT_NOUNS: usize = 2;

/// What asks for a way to do something; a command or a name of code is one.
const ASKS_WAY: [&str; 4] = ["how do i", "how do you", "how can i", "how to"];

/// What asks, after "what" or "which", for what is needed, and words of which a sentence that says so has some.
const ASKS_NEED: [&str; 6] = ["must", "need", "needs", "require", "requires", "required"];
const NEEDS: &str = "must need needs require requires required only unless";

/// What asks for who has a right, and words of those who have one.
const ASKS_WHO_MAY: [&str; 5] = ["who can", "who may", "who must", "who is allowed", "who has"];
const HOLDERS: &str = "owner owners own owns superuser superusers administrator administrators anyone anybody everyone \
    everybody nobody only privilege privileges permission permissions";

/// Words of which a sentence that says when has some.
const CONDITIONS: &str = "when whenever if after before once until unless should";

/// Words of which a sentence that gives one has some.
const REASONS: &str = "because since otherwise thus therefore avoid avoids prevent prevents result results cause causes due allows \
    helps useful";

/// Numbers as words.
const NUMBERS: &str = "one two three four five six seven eight nine ten eleven twelve hundred thousand million billion once twice \
    unlimited half dozen";

/// What begins a sentence that cannot be understood without the one before.
const ANAPHORA: &str = "it this these they thus that such he she its their his her however therefore so otherwise then also \
    both here there";

/// What follows "The" in such a sentence.
const ANAPHORIC_NOUNS: &str = "default value result same latter former effect";

fn is_one_of(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|other| other == word)
}

/// Whether a sentence refers to the one before: "It is …", "The default is …".
pub(super) fn is_anaphoric(sentence: &str) -> bool {
    let mut words = words_of(sentence).map(str::to_lowercase);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match first.as_str() {
        "the" => is_one_of(ANAPHORIC_NOUNS, &second),
        "if" => ["this", "it", "they"].contains(&second.as_str()),
        first => is_one_of(ANAPHORA, first),
    }
}

/// A word of a question.
struct Word {
    text: String,
    weight: f32,
}

/// The words of a question that tell what it is about: names and numbers before others.
pub(super) struct QuestionWords {
    words: Vec<Word>,
    sought: Vec<Sought>,
}

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sought {
    Number,
    /// A number, and nothing else answers.
    NumberOnly,
    Name,
    Reason,
    Default,
    Way,
    Condition,
    Need,
    Holder,
}

/// Weight of all words of a question from which on their lack counts in full.
const MIN_WEIGHT: f32 = 3.0;

/// Weight of a name or number beside that of another word.
const NAME_WEIGHT: f32 = 2.0;

impl QuestionWords {
    pub fn new(question: &str) -> Self {
        let common: HashSet<&str> = COMMON.split_whitespace().collect();
        let mut words: Vec<Word> = Vec::new();
        for (i, word) in words_of(question).enumerate() {
            let lower = word.to_lowercase();
            let is_known = words.iter().any(|known| known.text == lower);
            if common.contains(lower.as_str()) || is_known || lower.chars().count() < 2 {
                continue;
            }
            let weight = if is_name(word, i == 0) { NAME_WEIGHT } else { 1.0 };
            words.push(Word { text: lower, weight });
        }
        let asked =
            format!(" {} ", words_of(&question.to_lowercase()).collect::<Vec<_>>().join(" "));
        let asks = |phrases: &[&str]| phrases.iter().any(|it| asked.contains(&format!(" {it} ")));
        let asks_length = asked.contains(" how long ") && asked.ends_with(" be ");
        let asks_what = asked.starts_with(" what ") || asked.starts_with(" which ");
        let sought = [
            (Sought::NumberOnly, asks(&NEEDS_NUMBER) || asks_length),
            (Sought::Number, asks(&ASKS_NUMBER)),
            (Sought::Name, asks(&ASKS_NAME)),
            (Sought::Reason, asks(&ASKS_REASON)),
            (Sought::Default, asks(&ASKS_DEFAULT)),
            (Sought::Way, asks(&ASKS_WAY)),
            (Sought::Need, asks_what && asks(&ASKS_NEED)),
            (Sought::Holder, asks(&ASKS_WHO_MAY)),
            (Sought::Condition, asked.starts_with(" when ") && !asks(&ASKS_NUMBER)),
        ];
        let sought = sought.into_iter().filter(|(_, is_sought)| *is_sought);
        Self { words, sought: sought.map(|(sought, _)| sought).collect() }
    }

    fn seeks(&self, sought: Sought) -> bool {
        self.sought.contains(&sought)
    }

    /// Whether a number is asked for and the text holds one.
    pub fn is_number_given(&self, text: &str) -> bool {
        self.seeks(Sought::Number)
            && (text.contains(|c: char| c.is_numeric())
                || words_of(text).any(|word| is_one_of(NUMBERS, &word.to_lowercase())))
    }

    /// Whether only a number answers, and the text has none.
    pub fn lacks_number(&self, text: &str) -> bool {
        self.seeks(Sought::NumberOnly)
            && !text.contains(|c: char| c.is_numeric())
            && !words_of(text)
                .map(str::to_lowercase)
                .any(|word| is_one_of(NUMBERS, &word) || is_one_of(NO_NUMBERS, &word))
    }

    /// Whether a name is asked for and the text holds one that the question does not.
    pub fn is_name_given(&self, text: &str) -> bool {
        let is_new = |word: &str| {
            let word = word.to_lowercase();
            !self.words.iter().any(|known| known.text == word) && !is_one_of(COMMON, &word)
        };
        self.seeks(Sought::Name)
            && words_of(text)
                .skip(1)
                .any(|word| word.starts_with(char::is_uppercase) && is_new(word))
    }

    /// Whether a reason, a default, a way or a condition is asked for and the text gives one.
    pub fn is_kind_given(&self, text: &str) -> bool {
        let has = |words: &str| words_of(text).any(|word| is_one_of(words, &word.to_lowercase()));
        let has_default = || {
            let lower = text.to_lowercase();
            let words: Vec<&str> = words_of(&lower).collect();
            let is_said = |(at, word): (usize, &&str)| {
                *word == "default"
                    && words[at + 1..].iter().take(1 + DEFAULT_NOUNS).any(|word| *word == "is")
            };
            words.iter().enumerate().any(is_said)
                || DEFAULTS.iter().any(|phrase| lower.contains(phrase))
        };
        let is_code = |word: &str| {
            word.contains('_') || word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase())
        };
        let has_code = || text.contains('`') || words_of(text).any(is_code);
        (self.seeks(Sought::Reason) && has(REASONS))
            || (self.seeks(Sought::Default) && has_default())
            || (self.seeks(Sought::Way) && has_code())
            || (self.seeks(Sought::Need) && has(NEEDS))
            || (self.seeks(Sought::Holder) && has(HOLDERS))
            || (self.seeks(Sought::Condition) && has(CONDITIONS))
    }

    /// Whether one of these is asked for, and the text does not give it.
    pub fn lacks_kind(&self, text: &str) -> bool {
        let is_kind =
            |sought: &Sought| !matches!(sought, Sought::Number | Sought::NumberOnly | Sought::Name);
        self.sought.iter().any(is_kind) && !self.is_kind_given(text)
    }

    /// Whether a term is a name that the question holds: `work_mem (integer)`.
    pub fn is_named(&self, term: &str) -> bool {
        let first = words_of(term).next().unwrap_or_default().to_lowercase();
        self.words.iter().any(|word| word.weight > 1.0 && word.text == first)
    }

    /// The share of the words, by weight, that stand in `texts`; 1 without any word.
    pub fn covered<'a>(&self, texts: impl Iterator<Item = &'a str>) -> f32 {
        self.share(texts, |_| true)
    }

    /// How much of the question stands in none of `texts`, from 0 to 1: two words alone, such as "wrote it", tell little by
    /// their lack.
    pub fn lacked<'a>(&self, texts: impl Iterator<Item = &'a str>) -> f32 {
        let weight: f32 = self.words.iter().map(|word| word.weight).sum();
        (1.0 - self.covered(texts)) * (weight / MIN_WEIGHT).min(1.0)
    }

    /// The share of names and numbers that stand in `texts`; 1 without any.
    pub fn names_covered<'a>(&self, texts: impl Iterator<Item = &'a str>) -> f32 {
        self.share(texts, |word| word.weight > 1.0)
    }

    fn share<'a>(
        &self,
        texts: impl Iterator<Item = &'a str>,
        counts: impl Fn(&Word) -> bool,
    ) -> f32 {
        let held: HashSet<String> =
            texts.flat_map(|text| words_of(text).map(str::to_lowercase)).collect();
        let (mut all, mut found) = (0.0, 0.0);
        for word in self.words.iter().filter(|word| counts(word)) {
            all += word.weight;
            if held.contains(&word.text) || held.iter().any(|other| is_alike(&word.text, other)) {
                found += word.weight;
            }
        }
        if all > 0.0 { found / all } else { 1.0 }
    }
}

/// Words of letters and digits; those of a name with underscores or dots in it are one.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | ',')))
        .map(|word| word.trim_matches(['_', '.', ',']))
        .filter(|word| !word.is_empty())
}

/// Whether a word is written as names and numbers are. The first word of a question is written large anyway.
fn is_name(word: &str, is_first: bool) -> bool {
    let mut chars = word.chars();
    let is_capital = !is_first && chars.next().is_some_and(char::is_uppercase);
    is_capital
        || word.chars().any(|c| c.is_ascii_digit() || c == '_')
        || word.chars().skip(1).any(char::is_uppercase)
}

/// Whether two words in lower case differ by their endings at most: `deleted`, `deletes`; or one is a part of the other's
/// compound: `shared_buffers`.
fn is_alike(word: &str, other: &str) -> bool {
    if word.chars().any(|c| c.is_ascii_digit()) {
        return false;
    }
    let shorter = word.len().min(other.len());
    let common = word.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let longer = word.len().max(other.len());
    (common >= 4 && common + 1 >= shorter && longer - common <= 4)
        || (common >= 3 && common == shorter && longer - common <= 3)
        || other.split(['_', '.']).any(|part| part == word)
}
