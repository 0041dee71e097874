//! Scripts that put no space between words: full text search takes such a sentence for one word. Here it
//! is divided into overlapping pieces, two characters of Chinese, Japanese and Korean, three of the others, as search
//! engines do that have no dictionary: a word is found by the pieces it is made of.

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
