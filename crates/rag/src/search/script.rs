//! Scripts that put no space between words: full text search takes such a sentence for one word. Here it
//! is parted into overlapping pieces, two characters of Chinese and Japanese, three of the others, as search
//! engines do that have no dictionary: a word is found by the pieces it is made of.
use std::borrow::Cow;

/// Whether `c` belongs to a script that is written without spaces between words: Chinese, Japanese,
/// Thai, Lao, Khmer, Burmese and a few relatives. Korean has spaces.
pub fn is_unspaced(c: char) -> bool {
    piece(c).is_some()
}

/// Characters that a piece of the script of `c` has; `None` where words are parted by spaces.
fn piece(c: char) -> Option<usize> {
    match c {
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Burmese
        | '\u{1780}'..='\u{17ff}' // Khmer
        => Some(3),
        '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' // Kana
        | '\u{2e80}'..='\u{2fdf}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' // Han
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}'
        => Some(2),
        _ => None,
    }
}

/// Punctuation of these scripts, wide forms of ASCII's, and typographic quotation marks and dashes.
fn is_punctuation(c: char) -> bool {
    matches!(c,
        '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3000}'..='\u{3004}' | '\u{3008}'..='\u{3020}'
        | '\u{302a}'..='\u{3030}'
        | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
}

/// A text to be found: its pieces where they stand, so that phrases of pieces are found too, and at its end
/// the characters that are words by themselves.
pub fn for_documents(text: &str) -> Cow<'_, str> {
    let mut singles = String::new();
    let parted = parted(text, |run, length| {
        if length == 2 && run.len() > 1 {
            for c in run {
                singles.push(' ');
                singles.push(*c);
            }
        }
    });
    match parted {
        Cow::Owned(parted) => Cow::Owned(parted + &singles),
        borrowed @ Cow::Borrowed(_) => borrowed,
    }
}

/// A text to look for: the pieces of each word, or of a shorter one all of it.
pub fn for_queries(text: &str) -> Cow<'_, str> {
    parted(text, |_, _| {})
}

/// The text with its pieces between spaces. Shows each run of characters and the length of its pieces.
fn parted(text: &str, mut each: impl FnMut(&[char], usize)) -> Cow<'_, str> {
    if !text.chars().any(is_unspaced) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut run: Vec<char> = Vec::new();
    let mut length = 0;
    let mut end = |run: &mut Vec<char>, length: usize, out: &mut String| {
        if run.is_empty() {
            return;
        }
        out.push(' ');
        for piece in run.windows(length.min(run.len())) {
            out.extend(piece);
            out.push(' ');
        }
        each(run, length);
        run.clear();
    };
    for c in text.chars() {
        let of_this = piece(c);
        if of_this != Some(length) {
            end(&mut run, length, &mut out);
        }
        match of_this {
            Some(of_this) => {
                length = of_this;
                run.push(c);
            }
            // To some parsers every character beyond ASCII is a letter.
            None => out.push(if is_punctuation(c) { ' ' } else { c }),
        }
    }
    end(&mut run, length, &mut out);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn text_with_spaces_is_unchanged() {
        for text in ["", "plain text", "Größe, naïve", "한국어 문장", "שלום עולם"] {
            assert!(matches!(for_documents(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn pieces_of_each_script() {
        for (text, document, query) in [
            ("东京是首都", "东京 京是 是首 首都 东 京 是 首 都", "东京 京是 是首 首都"),
            ("猫", "猫", "猫"),
            ("「PostgreSQL」の設定。", "PostgreSQL の設 設定 の 設 定", "PostgreSQL の設 設定"),
            ("สวัสดี ดี", "สวั วัส ัสด สดี ดี", "สวั วัส ัสด สดี ดี"),
            ("ดี中文", "ดี 中文 中 文", "ดี 中文"),
        ] {
            assert_eq!(words(&for_documents(text)), words(document), "{text}");
            assert_eq!(words(&for_queries(text)), words(query), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_stands_in_a_text_is_found_in_its_pieces(text in "[a中文字日本ไทยคำ ,]{0,30}", from in 0_usize..30, length in 1_usize..8) {
            let chars: Vec<char> = text.chars().collect();
            let part: String = chars.iter().skip(from).take(length).collect();
            let document = for_documents(&text).into_owned();
            let known: Vec<&str> = words(&document);
            let of_two = |word: &&str| word.chars().all(|c| piece(c) == Some(2));
            for word in words(&for_queries(&part)).into_iter().filter(of_two) {
                prop_assert!(known.contains(&word), "{word} of {part} in {document}");
            }
            let runs = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !is_unspaced(*c)).collect::<String>();
            prop_assert_eq!(runs(&document), runs(&text), "nothing else is lost");
        }
    }
}
