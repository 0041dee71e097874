//! Words that mean something.
use crate::text::fold::Folded;
use crate::text::script::is_unspaced;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that any text has: English, German, French, Spanish, Italian, Portuguese, Dutch.
const COMMON: &str = " one yes ja nein oui sí sim a an the this that these those it its he she they them his her their him we us our you your i me my who whom whose which what when where why how \
is are was were be been being am do does did doing done have has had having will would shall should can could may might must \
of in on at to for from by with as into onto upon about over under between among through during before after since until while if then than so such \
and or but nor yet also too very just only even both either each every any all some most more many much few other another same own there here now \
not no never none neither without cannot n't don't doesn't isn't aren't wasn't weren't won't can't didn't hasn't haven't hadn't because however \
der die das den dem des ein eine einer eines einem einen und oder aber ist sind war waren wird werden wurde wurden hat haben hatte im am zum zur von vom mit \
auf aus bei nach über unter für durch als wie auch nur noch nicht kein keine sich es er sie wir ihr man dass wenn \
le la les un une des du de et ou mais est sont était étaient a ont avait dans sur sous par pour avec sans au aux ce cette ces il elle ils elles on qui que ne pas plus \
el los las uno una unos unas y o pero es son era eran fue fueron ha han en del al por para con sin su sus se lo que no más como \
il lo gli uno e ed ma è sono era fu in di da su per tra fra non che si come più \
o os as um uma uns umas do da dos das no na nos nas e ou mas é são foi em por para com sem seu sua não que se mais \
het een en of maar zijn was waren wordt worden werd heeft hebben had van naar met op aan bij voor door uit als ook niet geen er ";

/// Beginnings that turn a word into its opposite.
const PREFIXES: [&str; 7] = ["un", "in", "im", "ir", "dis", "non", "il"];

/// A word that means something.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// As it is compared.
    pub text: String,
    /// It is written with a capital letter.
    pub is_capital: bool,
    /// It begins a sentence.
    pub is_first: bool,
}

/// Words of `text`, which is folded, without those that any text has.
pub(super) fn content(text: &str, folded: &Folded) -> Vec<Content> {
    let mut found = Vec::new();
    let mut is_first = true;
    let mut end = 0;
    for word in folded.words() {
        let between = &text[end.min(word.bytes.start)..word.bytes.start];
        is_first |= between.contains(['.', '!', '?', ':', '\n', '。', '！', '？', '"', '“', '(']);
        end = word.bytes.end;
        let is_capital = text[word.bytes.clone()].starts_with(char::is_uppercase);
        if !is_common(&word.text) && !super::numbers::is_word(&word.text) {
            found.push(Content { text: word.text, is_capital, is_first });
        }
        is_first = false;
    }
    found
}

/// All words of a text.
pub(super) fn all(folded: &Folded) -> Vec<String> {
    folded.words().into_iter().map(|word| word.text).collect()
}

/// Whether any text has the word.
pub(super) fn is_common(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON.split(' ').collect());
    let is_letter = |c: char| c.is_alphabetic() && !is_unspaced(c);
    WORDS.contains(word) || word.chars().count() == 1 && word.chars().all(is_letter)
}

/// Whether two words are forms of one: what follows their common beginning are endings.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (one, other) = (stripped(one), stripped(other));
    let common: usize =
        one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let letters = one[..common].chars().count();
    let rests = [&one[common..], &other[common..]];
    let is_ending = |rest: &&str| {
        rest.is_empty()
            || rest.chars().count() <= 3 && letters >= 4
            || is_suffix(rest) && letters >= 3
    };
    one == other
        || letters >= 3
            && rests.iter().all(is_ending)
            && rests.iter().all(|rest| rest.chars().all(char::is_alphabetic))
}

/// Whether one of two words is the other with a beginning that turns it into its opposite.
pub(super) fn is_opposite(one: &str, other: &str) -> bool {
    let turns = |long: &str, short: &str| {
        let rests = PREFIXES.iter().filter_map(|prefix| long.strip_prefix(prefix));
        { rests }.any(|rest| rest.len() > 3 && is_same(rest, short))
    };
    turns(one, other) || turns(other, one)
}

fn is_suffix(rest: &str) -> bool {
    matches!(
        rest,
        "s" | "es"
            | "ed"
            | "d"
            | "ing"
            | "er"
            | "ers"
            | "or"
            | "ly"
            | "ion"
            | "ions"
            | "e"
            | "en"
            | "n"
            | "ning"
            | "ned"
            | "ting"
            | "ted"
            | "ies"
            | "y"
            | "ied"
    )
}

/// Without what a possessive adds.
pub(super) fn stripped(word: &str) -> &str {
    word.strip_suffix("'s").unwrap_or(word)
}
