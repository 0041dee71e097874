//! Characters that are compared, and what stands between them.
use unicode_normalization::char::is_combining_mark;

/// What stands between a character and the one before it; bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gap(pub u8);

impl Gap {
    pub const SPACE: u8 = 1;
    pub const HYPHEN: u8 = 2;
    /// A word is divided at a line end, or may be.
    pub const LINE_END: u8 = 4;
    pub const APOSTROPHE: u8 = 8;
    /// A minus sign stands before a number.
    pub const SIGN: u8 = 16;
    /// The mark of a list item, which may be left out.
    pub const BULLET: u8 = 32;

    pub fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// Whether the hyphen there is the word's own or a dash of the sentence.
    pub fn is_hyphen(self) -> bool {
        self.has(Self::HYPHEN) && !self.has(Self::LINE_END)
    }

    /// Whether it parts words. A line that ends within a word does not.
    pub fn is_space(self) -> bool {
        self.has(Self::SPACE) && !self.has(Self::LINE_END)
    }
}

/// A character that is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub c: char,
    /// The bytes of the text that it comes from.
    pub start: u32,
    pub length: u16,
    pub before: Gap,
    /// It belongs to the number of a list item, which may be left out.
    pub is_numbering: bool,
}

impl Unit {
    pub fn end(self) -> usize {
        self.start as usize + usize::from(self.length)
    }
}

/// Whether `c` is a part of a word.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}
