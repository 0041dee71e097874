//! Text as PostgreSQL's parser of words is given it, the same for chunks and for questions.
//!
//! The parser knows neither composed characters from decomposed ones nor what people leave out when they search: it takes
//! `CVE-2026-2332` for a word and two negative numbers, and a path for one token. So a text is divided here, and what the parser
//! gets are words between spaces. Dictionaries of the text search configuration still stem them and drop stop words.
//!
//! Words stand where they stood, so that phrases are found. Behind all of them stands what else they should be found by: the
//! joined form of a compound (`node.js` as `nodejs`) and the parts of a word (`HttpRequest` as `http` and `request`).
use crate::text::characters::{fold_case, is_ignorable};
use crate::text::script::{Script, script};
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// Goes up with each change after which a text has other words: those of a generation are found by the analysis that it was made with.
pub const VERSION: i32 = 2;

/// PostgreSQL refuses words of 2,047 bytes or more; longer ones are cut into several.
const MAX_WORD_BYTES: usize = 2_000;
/// Most words of a compound that is found by its joined form, and most bytes of that.
const MAX_JOINED: usize = 8;
/// See [`MAX_JOINED`].
const MAX_JOINED_BYTES: usize = 80;
/// Most parts of a word: hexadecimal digests and the like have no parts that mean anything.
const MAX_PARTS: usize = 6;

/// A text to be found.
pub fn for_documents(text: &str) -> String {
    Analysis::of(text, Use::Document)
}

/// Words to look for, any of them.
pub fn for_queries(text: &str) -> String {
    Analysis::of(text, Use::Query)
}

/// Words to look for as they stand, one behind the other.
pub fn for_phrases(text: &str) -> String {
    Analysis::of(text, Use::Phrase)
}

/// What a text is analysed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Document,
    Query,
    Phrase,
}

/// Compatibility forms composed, and without characters that show nothing and part no words.
fn normalized(text: &str) -> String {
    let is_shown = |c: &char| !is_ignorable(*c);
    if text.is_ascii() {
        return text.to_owned();
    }
    match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => text.chars().filter(is_shown).collect(),
        _ => text.chars().filter(is_shown).nfkc().collect(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// What stands between two words of a compound.
fn is_joint(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | '&' | ',' | '\u{2010}' | '\u{2011}')
}

/// A word of a compound.
struct Word {
    /// As written.
    text: String,
    /// What stands before it in the compound.
    joint: Option<char>,
}

/// A text being analysed.
struct Analysis {
    purpose: Use,
    /// Words where they stood.
    text: String,
    /// What else they are found by.
    others: String,
    /// Words that belong together, so far.
    compound: Vec<Word>,
    /// Whether a line ended within a word of it.
    is_hyphenated: bool,
}

impl Analysis {
    fn of(text: &str, purpose: Use) -> String {
        let normalized = normalized(text);
        let mut analysis = Self {
            purpose,
            text: String::with_capacity(normalized.len() + normalized.len() / 4),
            others: String::new(),
            compound: Vec::new(),
            is_hyphenated: false,
        };
        analysis.read(&normalized);
        analysis.text.push_str(&analysis.others);
        analysis.text
    }

    fn read(&mut self, text: &str) {
        let mut at = 0;
        let mut joint = None;
        while let Some(first) = text[at..].chars().next() {
            let kind = script(first);
            if let Script::Pieces(length) = kind {
                self.end_compound();
                let run = run(&text[at..], |c| script(c) == kind);
                self.add_pieces(run, length);
                (at, joint) = (at + run.len(), None);
            } else if is_word(first) {
                let run = run(&text[at..], |c| is_word(c) && script(c) == Script::Words);
                let end = at + run.len();
                let suffix = symbols_behind(&text[end..]);
                self.add_word(run, &text[end..end + suffix], joint.take());
                at = end + suffix;
                if let Some((joint_at, next)) = self.joint(&text[at..]).filter(|_| suffix == 0) {
                    joint = Some(joint_at);
                    at += next;
                } else {
                    self.end_compound();
                }
            } else {
                let is_name = first == '.' && is_name_with_dot(text, at);
                if is_name {
                    let name = run(&text[at + 1..], is_word);
                    self.add_dotted(name);
                    at += 1 + name.len();
                } else {
                    at += first.len_utf8();
                }
            }
        }
        self.end_compound();
    }

    /// A joint at the start of `rest`, if a word of the same compound stands behind it, and the bytes up to that.
    fn joint(&mut self, rest: &str) -> Option<(char, usize)> {
        let mark = rest.chars().next().filter(|c| is_joint(*c))?;
        let behind = &rest[mark.len_utf8()..];
        let next = behind.chars().next()?;
        if is_word(next) && script(next) == Script::Words {
            return Some((mark, mark.len_utf8()));
        }
        // A word that is continued in the next line; before a capital letter the hyphen is the word's own.
        let spaces = behind.len() - behind.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let next = behind[spaces..].chars().next()?;
        let is_letter =
            self.compound.last().is_some_and(|word| word.text.ends_with(char::is_alphabetic));
        let is_divided =
            matches!(mark, '-' | '\u{2010}') && behind[..spaces].contains('\n') && is_letter;
        if !is_divided || !next.is_alphabetic() || script(next) != Script::Words {
            return None;
        }
        self.is_hyphenated |= next.is_lowercase();
        Some((mark, mark.len_utf8() + spaces))
    }

    fn add_word(&mut self, word: &str, symbols: &str, joint: Option<char>) {
        let mut text = word.to_owned();
        for symbol in symbols.chars() {
            text.push_str(if symbol == '#' { "sharp" } else { "plus" });
        }
        self.compound.push(Word { text, joint });
    }

    /// A name such as `.NET`, which is found without its dot too.
    fn add_dotted(&mut self, name: &str) {
        push_word(&mut self.text, &format!("dot{name}"));
        if self.purpose != Use::Phrase {
            push_word(&mut self.others, name);
        }
    }

    fn end_compound(&mut self) {
        let words = std::mem::take(&mut self.compound);
        let is_hyphenated = std::mem::take(&mut self.is_hyphenated);
        if words.is_empty() {
            return;
        }
        if is_hyphenated {
            push_word(&mut self.text, &joined(&words));
        } else {
            for word in &words {
                push_word(&mut self.text, &word.text);
            }
        }
        if self.purpose == Use::Phrase {
            return;
        }
        if is_hyphenated {
            for word in &words {
                push_word(&mut self.others, &word.text);
            }
        }
        // Parts between dots are a name of their own: `main.rs` of `src-main.rs`.
        let mut start = 0;
        for end in 1..=words.len() {
            let goes_on = words.get(end).is_some_and(|word| word.joint == Some('.'));
            if !goes_on {
                if start > 0 || end < words.len() {
                    self.add_joined(&words[start..end]);
                }
                start = end;
            }
        }
        if !is_hyphenated {
            self.add_joined(&words);
        }
        for word in &words {
            self.add_parts(&word.text);
        }
    }

    /// The joined form of a compound. Versions and decimal numbers keep their dots: `1.2` is not 12.
    fn add_joined(&mut self, words: &[Word]) {
        let bytes: usize = words.iter().map(|word| word.text.len()).sum();
        if !(2..=MAX_JOINED).contains(&words.len()) || bytes > MAX_JOINED_BYTES {
            return;
        }
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let first = words[0].text.trim_start_matches(['v', 'V']);
        let has_numbers = !first.is_empty()
            && is_number(first)
            && words[1..].iter().all(|word| is_number(&word.text));
        let has_joint = |joint| words[1..].iter().all(|word| word.joint == Some(joint));
        if has_numbers && has_joint('.') {
            let rest = words[1..].iter().map(|word| word.text.as_str());
            let numbers: Vec<&str> = std::iter::once(first).chain(rest).collect();
            push_word(&mut self.others, &numbers.join("."));
        } else if !has_joint(',')
            || has_numbers && words[1..].iter().all(|word| word.text.len() == 3)
        {
            push_word(&mut self.others, &joined(words));
        }
    }

    /// The parts of a word where capital letters or digits begin them, and letters between digits together: `OAuth2` is found as `oauth`.
    fn add_parts(&mut self, word: &str) {
        let mut starts = vec![0];
        // Of what digits part, where that has parts itself: the place of its first one among `starts`.
        let mut runs = vec![0];
        let mut chars = word.char_indices().peekable();
        let mut last = None::<char>;
        while let Some((at, c)) = chars.next() {
            if let Some(last) = last {
                let next = chars.peek().map(|(_, next)| *next);
                // Units such as kΩ are one part, names such as b12 one word.
                let is_long = at - starts[starts.len() - 1] > last.len_utf8();
                let parts_digits = last.is_numeric() && !c.is_numeric() && !is_combining_mark(c)
                    || is_long && !last.is_numeric() && c.is_numeric();
                let parts_letters = is_long && last.is_lowercase() && c.is_uppercase()
                    || last.is_uppercase()
                        && c.is_uppercase()
                        && next.is_some_and(char::is_lowercase);
                if parts_digits {
                    runs.push(starts.len());
                }
                if parts_digits || parts_letters {
                    starts.push(at);
                }
            }
            last = Some(c);
        }
        if !(2..=MAX_PARTS).contains(&starts.len()) {
            return;
        }
        runs.push(starts.len());
        starts.push(word.len());
        for range in starts.windows(2) {
            let part = &word[range[0]..range[1]];
            // A letter alone tells nothing.
            if part.len() > 1 || part.as_bytes()[0].is_ascii_digit() {
                push_word(&mut self.others, part);
            }
        }
        if runs.len() > 2 {
            for run in runs.windows(2).filter(|run| run[1] - run[0] > 1) {
                push_word(&mut self.others, &word[starts[run[0]]..starts[run[1]]]);
            }
        }
    }

    /// Overlapping pieces of a run of characters without spaces between words.
    fn add_pieces(&mut self, run: &str, length: usize) {
        let ends: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
        let count = ends.len() - 1;
        let size = length.min(count);
        for first in 0..=count - size {
            push_word(&mut self.text, &run[ends[first]..ends[first + size]]);
        }
        // A character of these can be a word by itself.
        if self.purpose == Use::Document && length == 2 && count > 1 {
            for pair in ends.windows(2) {
                push_word(&mut self.others, &run[pair[0]..pair[1]]);
            }
        }
    }
}

/// The words without what stands between them.
fn joined(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect()
}

/// The longest start of `text` whose characters all are.
fn run(text: &str, is: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !is(c)).unwrap_or(text.len())]
}

/// Bytes of the plus and number signs at the start of `rest` that belong to a name before them (`C++`, `F#`), not to
/// a sum or a number.
fn symbols_behind(rest: &str) -> usize {
    let symbols = run(rest, |c| matches!(c, '+' | '#')).len();
    let ends = !rest[symbols..].starts_with(is_word) || &rest[..symbols] == "++";
    if (1..=2).contains(&symbols) && ends { symbols } else { 0 }
}

/// Whether the dot at `at` begins a name such as `.NET`.
fn is_name_with_dot(text: &str, at: usize) -> bool {
    let is_free = text[..at]
        .chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '"' | '\'' | '`'));
    is_free && text[at + 1..].starts_with(|c: char| c.is_alphabetic() && script(c) == Script::Words)
}

/// Appends a word in lower case behind a space; one that is too long in several.
fn push_word(text: &mut String, word: &str) {
    let mut bytes = MAX_WORD_BYTES;
    for c in word.chars() {
        if bytes + c.len_utf8() > MAX_WORD_BYTES {
            text.push(' ');
            bytes = 0;
        }
        let start = text.len();
        fold_case(c, |folded| text.push(folded));
        bytes += text.len() - start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn words_stand_in_place_and_what_else_finds_them_behind() {
        for (text, document) in [
            ("", ""),
            ("plain text", "plain text"),
            (
                "Fixed in CVE-2026-2332; ORA-00942",
                "fixed in cve 2026 2332 ora 00942 cve20262332 ora00942",
            ),
            ("pages 10-20, at -5 °C", "pages 10 20 at 5 c 1020"),
            (
                "/etc/postgresql/16/main/postgresql.conf",
                "etc postgresql 16 main postgresql conf postgresqlconf",
            ),
            (
                "client/server; node.js; ops@example.com",
                "client server node js ops example com nodejs examplecom",
            ),
            (
                "C++, C#, .NET and F#; g++ and C++17",
                "cplusplus csharp dotnet and fsharp gplusplus and cplusplus 17 net",
            ),
            ("1+1, issue #5, a+b", "1 1 issue 5 a b"),
            ("v1.2.3 is not 12.3 or 1,000", "v1 2 3 is not 12 3 or 1 000 1.2.3 12.3 1000"),
            (
                "HttpRequestHandler, snake_case_name",
                "httprequesthandler snake case name http request handler snakecasename",
            ),
            ("10kΩ @angular/core AT&T", "10kω angular core at t 10 kω att"),
            ("src-main.rs", "src main rs mainrs srcmainrs"),
            (
                "Immo-\nbilien kaufen, Fall-\nStudie",
                "immobilien kaufen fall studie immo bilien fallstudie",
            ),
            ("Donau\u{ad}dampf\u{ad}schiff zero\u{200b}width", "donaudampfschiff zerowidth"),
            ("ＡＢＣ１２３ e\u{fb03}cient ｶﾞ", "abc123 efficient ガ abc 123"),
            ("Straße ΟΔΟΣ İstanbul", "strasse οδοσ istanbul"),
            ("שָׁלוֹם مُحَمَّد", "שלום محمد"),
            ("서울은 수도", "서울 울은 수도 서 울 은 수 도"),
            ("东京是首都", "东京 京是 是首 首都 东 京 是 首 都"),
            ("「PostgreSQL」の設定。", "postgresql の設 設定 postgre sql の 設 定"),
            ("สวัสดี ดี", "สวั วัส ัสด สดี ดี"),
            ("ดี中文", "ดี 中文 中 文"),
            ("what does gcc -Wall do? tar -xvf", "what does gcc wall do tar xvf"),
            ("2001:db8::1 +49 30/901820", "2001 db8 1 49 30 901820 db 8"),
            ("w17 b12 x86 20W", "w17 b12 x86 20w 20"),
            ("OAuth2 IPv6Address", "oauth2 ipv6address auth 2 oauth pv 6 address ipv"),
            ("...and so on. .gitignore", "and so on dotgitignore gitignore"),
        ] {
            assert_eq!(words(&for_documents(text)), words(document), "{text}");
        }
    }

    #[test]
    fn phrases_have_their_words_in_place_alone() {
        for (text, phrase) in [
            ("use node.js today", "use node js today"),
            (".NET C#", "dotnet csharp"),
            ("东京", "东京"),
        ] {
            assert_eq!(words(&for_phrases(text)), words(phrase), "{text}");
        }
    }

    #[test]
    fn a_word_of_any_length_is_cut() {
        let long = "ä".repeat(5_000);
        assert!(words(&for_documents(&long)).iter().all(|word| word.len() <= MAX_WORD_BYTES));
        assert_eq!(for_documents(&long).replace(' ', ""), long);
    }

    proptest! {
        #[test]
        fn what_stands_between_spaces_is_found(parts in proptest::collection::vec("[aBc1ß+#.,_&@/()-]{1,9}|[a中文字日本語ไทยคำ서울은]{1,9}|\\PC{1,6}", 1..6), which in 0_usize..6) {
            let part = &parts[which % parts.len()];
            let document = for_documents(&parts.join(" "));
            let known: BTreeSet<&str> = words(&document).into_iter().collect();
            for word in words(&for_queries(part)) {
                prop_assert!(known.contains(word), "{word} of {part} in {document}");
            }
            let in_place = for_phrases(&parts.join("  "));
            prop_assert!(document.starts_with(&in_place), "{in_place} in {document}");
        }

        #[test]
        fn composed_and_decomposed_are_the_same(text in "[éñüÅộ한글ガ a-]{0,20}") {
            let (composed, decomposed): (String, String) = (text.nfc().collect(), text.nfd().collect());
            prop_assert_eq!(for_documents(&composed), for_documents(&decomposed));
        }
    }
}
