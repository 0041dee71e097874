//! The structure of a text: blocks in order, and the headings that divide it.
use crate::memory;
use std::ops::Range;

/// Longest title of a heading in a path, in characters. A heading of more is a paragraph in
/// disguise.
const MAX_TITLE: usize = 200;

/// A text as its parser sees it.
#[derive(Debug, Default)]
pub(super) struct DocumentStructure {
    /// In order, without overlap. Between them there is only white space.
    pub blocks: Vec<Block>,
    pub headings: Vec<Heading>,
}

/// A piece of the text that is cut only when it is too large. Ranges are 32 bits wide to hold a
/// text of many short lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub start: u32,
    pub end: u32,
    pub kind: BlockKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Prose: cut at sentences.
    Text,
    /// Code or a table: cut at lines.
    Lines,
    /// A table whose first bytes, so many, are its header row: cut at lines as well.
    Table(u32),
    /// Says what the next block is about and stays with it, as the term of a definition does.
    Lead,
    /// An entry of `DocumentStructure::headings`.
    Heading(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// 1 for the outermost.
    pub level: u8,
    pub title: String,
}

impl DocumentStructure {
    pub fn push(&mut self, range: Range<usize>, kind: BlockKind) {
        let (start, end) = (range.start as u32, range.end as u32);
        memory::push(&mut self.blocks, Block { start, end, kind });
    }

    /// Adds a heading. One without any title divides nothing and is a paragraph.
    pub fn push_heading(&mut self, range: Range<usize>, level: u8, title: &str) {
        let words: Vec<&str> = title.split_whitespace().collect();
        let title: String = words.join(" ").chars().take(MAX_TITLE).collect();
        if title.is_empty() {
            return self.push(range, BlockKind::Text);
        }
        self.push(range, BlockKind::Heading(self.headings.len() as u32));
        memory::push(&mut self.headings, Heading { level, title });
    }
}

impl Block {
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn is_heading(&self) -> bool {
        matches!(self.kind, BlockKind::Heading(_))
    }

    pub fn is_lines(&self) -> bool {
        matches!(self.kind, BlockKind::Lines | BlockKind::Table(_))
    }
}

/// Blocks under one heading path: what a chunk never goes beyond.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// Indices of its blocks. Its headings come first.
    pub blocks: Range<usize>,
    /// How many headings it starts with: more than one where nothing stands between them.
    pub headings: usize,
    /// Indices of the headings that are open in it, the outermost first.
    pub path: Vec<u32>,
}

impl DocumentStructure {
    /// Divides the blocks into sections, each with something besides headings unless there is
    /// nothing else in the document.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        let mut at = 0;
        while at < self.blocks.len() {
            let headings = self.run(at, Block::is_heading);
            let body = at + headings;
            let end = body + self.run(body, |block| !block.is_heading());
            for block in &self.blocks[at..body] {
                self.enter(block, &mut open);
            }
            match sections.last_mut() {
                // Headings at the very end head nothing: they belong to what is before them.
                Some(last) if body == end => last.blocks.end = end,
                _ => {
                    let path = open.clone();
                    memory::push(&mut sections, Section { blocks: at..end, headings, path });
                }
            }
            at = end;
        }
        sections
    }

    /// How many blocks from `from` on are `like` that.
    fn run(&self, from: usize, like: impl Fn(&Block) -> bool) -> usize {
        self.blocks[from..].iter().take_while(|block| like(block)).count()
    }

    fn enter(&self, block: &Block, open: &mut Vec<u32>) {
        let BlockKind::Heading(heading) = block.kind else { return };
        let level = self.headings[heading as usize].level;
        open.retain(|&other| self.headings[other as usize].level < level);
        open.push(heading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(blocks: &[(u8, &str)]) -> DocumentStructure {
        let mut document = DocumentStructure::default();
        for (i, (level, title)) in blocks.iter().enumerate() {
            match level {
                0 => document.push(i..i + 1, BlockKind::Text),
                level => document.push_heading(i..i + 1, *level, title),
            }
        }
        document
    }

    fn paths(document: &DocumentStructure) -> Vec<(Range<usize>, Vec<&str>)> {
        let title = |&i: &u32| document.headings[i as usize].title.as_str();
        let sections = document.sections();
        sections.into_iter().map(|s| (s.blocks, s.path.iter().map(title).collect())).collect()
    }

    #[test]
    fn a_section_has_the_headings_that_are_open() {
        let document =
            document(&[(0, ""), (1, "A"), (0, ""), (3, "B"), (0, ""), (2, "C"), (0, "")]);
        assert_eq!(
            paths(&document),
            [(0..1, vec![]), (1..3, vec!["A"]), (3..5, vec!["A", "B"]), (5..7, vec!["A", "C"])]
        );
    }

    #[test]
    fn a_heading_is_never_alone() {
        let document = document(&[(1, "A"), (2, "B"), (0, ""), (2, "C"), (2, "D")]);
        assert_eq!(paths(&document), [(0..5, vec!["A", "B"])]);
        let only = super::tests::document(&[(1, "A"), (2, "B")]);
        assert_eq!(paths(&only), [(0..2, vec!["A", "B"])]);
    }

    #[test]
    fn titles_are_one_line_of_bounded_length() {
        let document = document(&[(1, " a\n  b "), (1, " \n "), (1, &"x".repeat(999))]);
        assert_eq!(document.headings[0].title, "a b");
        assert_eq!(document.blocks[1].kind, BlockKind::Text);
        assert_eq!(document.headings[1].title.len(), MAX_TITLE);
    }
}
