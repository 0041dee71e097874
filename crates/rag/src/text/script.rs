//! Scripts that put no space between words: full text search takes such a sentence for one word. Here it
//! is divided into overlapping pieces, two characters of Chinese, Japanese and Korean, three of the others, as search
//! engines do that have no dictionary: a word is found by the pieces it is made of.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a character is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// In words between spaces, if in any.
    Words,
    /// In pieces of so many characters.
    Pieces(usize),
}

/// Whether `c` belongs to a script that is written without spaces between words: Chinese, Japanese,
/// Thai, Lao, Khmer, Burmese and a few relatives. Korean has spaces.
pub fn is_unspaced(c: char) -> bool {
    !is_hangul(c) && script(c) != Script::Words
}

/// Whether `c` alone may be a word though others stand beside it: a Chinese character, or a syllable of Korean.
pub fn may_be_word(c: char) -> bool {
    matches!(Writing::of_letter(c), Writing::Chinese | Writing::Hangul)
}

/// Syllables of Korean, whose words have endings that no space separates.
fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}')
}

/// How `c` is searched for.
pub fn script(c: char) -> Script {
    match c {
        '\0'..='\u{dff}' | '\u{30fb}' => Script::Words,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Burmese
        | '\u{1780}'..='\u{17ff}' // Khmer
        => Script::Pieces(3),
        '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' // Kana
        | '\u{2e80}'..='\u{2fdf}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' // Han
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}'
        => Script::Pieces(2),
        c if is_hangul(c) => Script::Pieces(2),
        _ => Script::Words,
    }
}

/// The script of a text: in what most of its letters are written. A model that knows one language of a script mostly has tokens for others of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // scripts by their names
pub enum Writing {
    /// Also where there are no letters.
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    /// Devanagari and the other scripts of India.
    Indic,
    Thai,
    Hangul,
    /// Kana, with or without Han.
    Japanese,
    Chinese,
    Other,
}

impl Writing {
    /// What most letters of `text` are of; a text with kana is Japanese.
    pub fn of(text: &str) -> Self {
        let mut counts: BTreeMap<Self, usize> = BTreeMap::new();
        for writing in text.chars().filter(|c| c.is_alphabetic()).map(Self::of_letter) {
            *counts.entry(writing).or_default() += 1;
        }
        if let Some(kana) = counts.get(&Self::Japanese).copied()
            && let Some(han) = counts.remove(&Self::Chinese)
        {
            counts.insert(Self::Japanese, kana + han);
        }
        // The first of equals.
        counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(Self::Latin, |(w, _)| w)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latin => "Latin",
            Self::Greek => "Greek",
            Self::Cyrillic => "Cyrillic",
            Self::Hebrew => "Hebrew",
            Self::Arabic => "Arabic",
            Self::Indic => "Indic",
            Self::Thai => "Thai",
            Self::Hangul => "Hangul",
            Self::Japanese => "Japanese",
            Self::Chinese => "Chinese",
            Self::Other => "another",
        }
    }

    fn of_letter(c: char) -> Self {
        match c {
            '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}' => Self::Latin,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{590}'..='\u{5ff}' => Self::Hebrew,
            '\u{600}'..='\u{6ff}'
            | '\u{750}'..='\u{77f}'
            | '\u{fb50}'..='\u{fdff}'
            | '\u{fe70}'..='\u{feff}' => Self::Arabic,
            '\u{900}'..='\u{dff}' => Self::Indic,
            '\u{e00}'..='\u{e7f}' => Self::Thai,
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}' => {
                Self::Hangul
            }
            '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}' => {
                Self::Japanese
            }
            '\u{2e80}'..='\u{2fdf}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Self::Chinese,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_a_text_is_that_of_most_letters() {
        for (text, writing) in [
            ("How do I get disk space back?", Writing::Latin),
            ("¿Qué versión de PostgreSQL tengo?", Writing::Latin),
            ("Как настроить сервер PostgreSQL?", Writing::Cyrillic),
            ("डिस्क की जगह", Writing::Indic),
            ("ตั้งค่าเซิร์ฟเวอร์ใหม่", Writing::Thai),
            ("إعداد الخادم", Writing::Arabic),
            ("设置服务器", Writing::Chinese),
            ("サーバーの設定方法", Writing::Japanese),
            ("서버 설정", Writing::Hangul),
            ("2332", Writing::Latin),
            ("", Writing::Latin),
        ] {
            assert_eq!(Writing::of(text), writing, "{text}");
        }
    }
}
