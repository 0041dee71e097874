//! Fills chunks with the blocks of a section.
use super::cut;
use super::document::{Block, BlockKind, DocumentStructure, Section};
use super::meter::{Meter, max_chars};
use super::options::Options;
use super::sentence::sentences;
use crate::model::Checkpoint;
use crate::model::tokenizer::TokenCounter;
use crate::{Result, memory};
use std::ops::Range;
use std::sync::Arc;

/// Stands between the titles of a heading path.
pub const PATH_SEPARATOR: &str = " > ";

/// Characters of a word that are looked at when it must be cut.
const MAX_WORD: usize = 200;

/// A verbatim piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// 1 for the first.
    pub ordinal: usize,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The same range in characters.
    pub chars: Range<usize>,
    /// Tokens of the chunk by itself, without special tokens.
    pub token_count: usize,
    /// Titles of the headings above it, the outermost first, joined by [`PATH_SEPARATOR`].
    pub section: Option<Arc<str>>,
    /// Page its first character is on, from 1, in a text with form feeds.
    pub page: Option<u32>,
    /// The heading path to embed it with: without the headings that the chunk itself contains, and
    /// cut to [`Options::heading_tokens`]. Empty when there is none or none was asked for.
    pub heading: Arc<str>,
    /// Tokens of `heading`.
    pub heading_tokens: usize,
}

pub(super) struct Packer<'a, 'b> {
    text: &'a str,
    document: &'a DocumentStructure,
    options: &'a Options,
    meter: Meter<'a, 'b>,
    chunks: Vec<Chunk>,
    position: Position,
}

/// How far characters and form feeds are counted.
#[derive(Default)]
struct Position {
    byte: usize,
    char: usize,
    form_feeds: u32,
}

/// A section being packed.
struct Open<'a> {
    blocks: &'a [Block],
    path: Option<Arc<str>>,
    /// Heading path and its tokens: of chunks that start with the section's own headings, and of
    /// the others.
    first: (Arc<str>, usize),
    other: (Arc<str>, usize),
}

/// A chunk found: where it starts and ends, and its tokens.
struct Span {
    start: usize,
    end: usize,
    tokens: usize,
}

impl<'a, 'b> Packer<'a, 'b> {
    pub fn new(
        text: &'a str,
        document: &'a DocumentStructure,
        options: &'a Options,
        counter: &'a dyn TokenCounter,
        checkpoint: Checkpoint<'b>,
    ) -> Self {
        let meter = Meter::new(text, counter, checkpoint);
        let (chunks, position) = (Vec::new(), Position::default());
        Self { text, document, options, meter, chunks, position }
    }

    pub fn pack(mut self) -> Result<Vec<Chunk>> {
        let has_pages = self.text.contains('\u{c}');
        for section in self.document.sections() {
            let open = self.open(&section)?;
            self.pack_section(&open)?;
        }
        if !has_pages {
            self.chunks.iter_mut().for_each(|chunk| chunk.page = None);
        }
        Ok(self.chunks)
    }

    fn open(&self, section: &Section) -> Result<Open<'a>> {
        let title = |&i: &u32| self.document.headings[i as usize].title.as_str();
        let titles: Vec<&str> = section.path.iter().map(title).collect();
        let blocks = &self.document.blocks[section.blocks.clone()];
        let own = &blocks[..section.headings];
        let is_own = |heading| own.iter().any(|block| block.kind == BlockKind::Heading(heading));
        let above = section.path.iter().take_while(|&&heading| !is_own(heading)).count();
        let path = (!titles.is_empty()).then(|| titles.join(PATH_SEPARATOR).into());
        let first = self.heading(&titles[..above])?;
        Ok(Open { blocks, path, first, other: self.heading(&titles)? })
    }

    /// The heading path to embed with: the outer titles go first when it is too long, then the end
    /// of the last.
    fn heading(&self, titles: &[&str]) -> Result<(Arc<str>, usize)> {
        let limit = self.options.heading_tokens;
        let last = titles.last().map_or(Vec::new(), |title| title.split(' ').collect());
        let paths = (0..titles.len()).map(|i| titles[i..].join(PATH_SEPARATOR));
        let cut = (1..last.len()).rev().map(|words| last[..words].join(" "));
        for path in paths.chain(cut).filter(|_| limit > 0) {
            let tokens = self.meter.count_text(&path)?;
            if tokens <= limit {
                return Ok((path.into(), tokens));
            }
        }
        Ok(("".into(), 0))
    }

    fn pack_section(&mut self, open: &Open<'_>) -> Result<()> {
        let Some(last) = open.blocks.last() else { return Ok(()) };
        let end = last.range().end;
        let mut start = open.blocks[0].range().start;
        let mut fresh = start;
        let mut heading = open.first.clone();
        // The table that the last chunk ended in, and the heading of its other chunks.
        let mut table: Option<(u32, (Arc<str>, usize))> = None;
        loop {
            let budget = self.budget(heading.1);
            let found = self.find(open, start, fresh, budget)?;
            self.emit(open, &heading, &found);
            if found.end >= end {
                return Ok(());
            }
            fresh = self.next_start(open, found.end);
            heading = match self.header_above(open, fresh) {
                None => open.other.clone(),
                Some((block, header)) => {
                    if table.as_ref().is_none_or(|(known, _)| *known != block.start) {
                        table = Some((block.start, self.with_header(open, header)?));
                    }
                    table
                        .as_ref()
                        .map_or_else(|| open.other.clone(), |(_, heading)| heading.clone())
                }
            };
            let budget = self.budget(heading.1);
            start = self.overlap(open, found.start..found.end, fresh, budget)?;
            self.meter.forget(start);
        }
    }

    /// The table that goes on at `fresh`, and its header row.
    fn header_above(&self, open: &Open<'a>, fresh: usize) -> Option<(Block, &'a str)> {
        let index = open.blocks.partition_point(|block| block.range().end <= fresh);
        let block = *open.blocks.get(index)?;
        let BlockKind::Table(header) = block.kind else { return None };
        let range = block.range();
        let header = range.start..range.start + header as usize;
        (self.options.heading_tokens > 0 && fresh > header.end).then(|| (block, &self.text[header]))
    }

    /// The heading of a table's chunks that do not have its header row: the heading path, and the row as far as it fits. What
    /// columns are called tells more of a row than what the section is.
    fn with_header(&self, open: &Open<'_>, header: &str) -> Result<(Arc<str>, usize)> {
        // No token has fewer bytes than one.
        let most = self.options.heading_tokens.saturating_mul(32);
        let header = header[..header.floor_char_boundary(most)].trim();
        let cells: Vec<usize> = header.match_indices('|').map(|(at, _)| at + 1).collect();
        let halves = std::iter::successors(Some(cells.len()), |count| Some(count / 2));
        let starts = halves.take_while(|count| *count > 0).map(|count| &header[..cells[count - 1]]);
        let path = format!("{}\n{header}", open.other.0);
        let alone = std::iter::once(header).chain(starts).map(str::to_owned);
        for heading in std::iter::once(path).chain(alone) {
            let heading = heading.trim();
            let tokens = self.meter.count_text(heading)?;
            if !heading.is_empty() && tokens <= self.options.heading_tokens {
                return Ok((heading.into(), tokens));
            }
        }
        Ok(open.other.clone())
    }

    /// Most tokens of a chunk below a heading path of so many.
    fn budget(&self, heading_tokens: usize) -> usize {
        let left = self.options.window.saturating_sub(heading_tokens);
        self.options.max_tokens.min(left).max(1)
    }

    /// The next chunk: it starts at `start` with what the last one had, or at `fresh`, and goes as
    /// far as structure and budget allow.
    fn find(&mut self, open: &Open<'_>, start: usize, fresh: usize, budget: usize) -> Result<Span> {
        let end = open.blocks[open.blocks.len() - 1].range().end;
        for start in if start < fresh { vec![start, fresh] } else { vec![fresh] } {
            // Counts of what is cut inside a word can come out higher than expected.
            let mut allowed = budget;
            while allowed > 0 {
                let limit = self.meter.reach(start..end, allowed)?;
                // Too many characters: the overlap leaves no room for anything new.
                if limit <= fresh {
                    break;
                }
                let stop = if limit >= end {
                    Some(end)
                } else {
                    self.boundary(open, fresh, limit, budget)?
                };
                let Some(stop) = stop else { break };
                let stop = start + self.text[start..stop].trim_end().len();
                if stop <= fresh {
                    break;
                }
                let tokens = self.meter.count(start..stop)?;
                if tokens <= budget {
                    return Ok(Span { start, end: stop, tokens });
                }
                allowed = allowed.saturating_sub(tokens - budget);
            }
        }
        self.find_in_word(fresh..end, budget)
    }

    /// Where to end a chunk that cannot go beyond `limit` and must go beyond `fresh`; `None` when
    /// that takes cutting a word.
    fn boundary(
        &mut self,
        open: &Open<'_>,
        fresh: usize,
        limit: usize,
        budget: usize,
    ) -> Result<Option<usize>> {
        let first = open.blocks.partition_point(|block| block.range().end <= fresh);
        let over = open.blocks.partition_point(|block| block.range().end <= limit);
        let block = &open.blocks[over];
        let leads = open.blocks[first..over].iter().rev();
        let group = over - leads.take_while(|block| self.stays_with_next(block)).count();
        let before = (group > first).then(|| open.blocks[group - 1].range().end);
        // A block that fits into a chunk is not cut, with what stays with it.
        let whole = open.blocks[group].range().start..block.range().end;
        if before.is_some() && self.meter.fits(whole, budget)? {
            return Ok(before);
        }
        let range = block.range().start.max(fresh)..block.range().end;
        if limit <= range.start {
            let leads_alone = (over > first).then(|| open.blocks[over - 1].range().end);
            return Ok(before.or(leads_alone));
        }
        let cut = match block.kind {
            BlockKind::Lines | BlockKind::Table(_) => cut::line(self.text, range.clone(), limit),
            _ => cut::sentence(self.text, range.clone(), limit),
        };
        Ok(cut.or(before).or_else(|| cut::word(self.text, range, limit)))
    }

    fn stays_with_next(&self, block: &Block) -> bool {
        match block.kind {
            BlockKind::Heading(_) | BlockKind::Lead => true,
            BlockKind::Text => self.text[block.range()].ends_with(':'),
            BlockKind::Lines | BlockKind::Table(_) => false,
        }
    }

    /// A chunk that ends inside its first word.
    fn find_in_word(&mut self, range: Range<usize>, budget: usize) -> Result<Span> {
        let start = range.end - self.text[range.clone()].trim_start().len();
        let graphemes = cut::graphemes(self.text, start..range.end, MAX_WORD);
        if let Some(found) = self.longest(start, &graphemes, budget)? {
            return Ok(found);
        }
        // Where the first grapheme has no end, it is divided into as few pieces as it can be.
        let most = if graphemes.is_empty() { max_chars(budget) } else { MAX_WORD };
        let chars = cut::characters(self.text, start..range.end, most);
        if let Some(found) = self.longest(start, &chars, budget)? {
            return Ok(found);
        }
        // One character that is too much by itself.
        let end = chars.first().copied().unwrap_or(range.end);
        Ok(Span { start, end, tokens: self.meter.count(start..end)? })
    }

    /// The longest piece that is within the budget, of those with these ends.
    fn longest(&mut self, start: usize, ends: &[usize], budget: usize) -> Result<Option<Span>> {
        let mut most = ends.len();
        // More text rarely has fewer tokens; the count of what is taken is exact anyway.
        while most > 0 {
            let end = ends[most - 1];
            let tokens = self.meter.count(start..end)?;
            if tokens <= budget {
                return Ok(Some(Span { start, end, tokens }));
            }
            most = (most - 1).min(most * budget / tokens + 1);
        }
        Ok(None)
    }

    /// Where new text goes on after a chunk.
    fn next_start(&self, open: &Open<'_>, end: usize) -> usize {
        let rest = &self.text[end..];
        let space = rest.len() - rest.trim_start().len();
        let index = open.blocks.partition_point(|block| block.range().end <= end + space);
        match open.blocks.get(index) {
            Some(block) if block.range().start >= end => block.range().start,
            // The indentation of a line of code means something.
            Some(block) if block.is_lines() => {
                end + rest[..space].rfind('\n').map_or(space, |i| i + 1)
            }
            _ => end + space,
        }
    }

    /// Where the chunk after `last` starts, `fresh` being its first new text: at the earliest
    /// sentence of `last` that leaves room for what comes next and is not over the overlap.
    fn overlap(
        &mut self,
        open: &Open<'_>,
        last: Range<usize>,
        fresh: usize,
        budget: usize,
    ) -> Result<usize> {
        let mut room = self.options.overlap_tokens.min(budget);
        if room > 0 {
            let next = self.next_unit(open, fresh, budget)?;
            room = room.min(budget.saturating_sub(self.meter.count(next)?));
        }
        if room == 0 {
            return Ok(fresh);
        }
        let earliest = self.meter.reach_back(last.clone(), room)?;
        let index = open.blocks.partition_point(|block| block.range().end <= earliest);
        for block in open.blocks[index..].iter().take_while(|b| b.range().start < last.end) {
            if block.is_heading() {
                continue;
            }
            let inside = block.range().start.max(last.start)..block.range().end.min(last.end);
            for start in self.starts(block, inside) {
                let is_later = start >= earliest && start > last.start;
                if is_later && self.meter.count(start..last.end)? <= room {
                    return Ok(start);
                }
            }
        }
        Ok(fresh)
    }

    /// Where an overlap may start in a block: at a sentence; code is repeated as a whole only.
    fn starts(&self, block: &Block, inside: Range<usize>) -> Vec<usize> {
        if block.is_lines() {
            return if inside.start == block.range().start {
                vec![inside.start]
            } else {
                Vec::new()
            };
        }
        sentences(&self.text[inside.clone()])
            .map(|sentence| inside.start + sentence.start)
            .collect()
    }

    /// The text that a chunk with new text from `fresh` on should not cut: the next block, or where
    /// that is too large its next sentence, or nothing.
    fn next_unit(&mut self, open: &Open<'_>, fresh: usize, budget: usize) -> Result<Range<usize>> {
        let index = open.blocks.partition_point(|block| block.range().end <= fresh);
        let Some(block) = open.blocks.get(index) else { return Ok(fresh..fresh) };
        let rest = fresh..block.range().end;
        if self.meter.fits(rest.clone(), budget)? {
            return Ok(rest);
        }
        let limit = self.meter.reach(rest.clone(), budget)?.max(rest.start);
        if block.is_lines() {
            let line = self.text[fresh..limit].find('\n').map_or(fresh, |i| fresh + i);
            return Ok(fresh..line);
        }
        let first = sentences(&self.text[fresh..limit]).next().map_or(fresh, |s| fresh + s.end);
        Ok(if first < limit { fresh..first } else { fresh..fresh })
    }

    fn emit(&mut self, open: &Open<'_>, heading: &(Arc<str>, usize), found: &Span) {
        let content = &self.text[found.start..found.end];
        self.position.advance(self.text, found.start);
        let start = self.position.char;
        let chunk = Chunk {
            ordinal: self.chunks.len() + 1,
            range: found.start..found.end,
            chars: start..start + content.chars().count(),
            token_count: found.tokens,
            section: open.path.clone(),
            page: Some(self.position.form_feeds + 1),
            heading: heading.0.clone(),
            heading_tokens: heading.1,
        };
        memory::push(&mut self.chunks, chunk);
    }
}

impl Position {
    fn advance(&mut self, text: &str, to: usize) {
        let passed = &text[self.byte..to];
        self.char += passed.chars().count();
        self.form_feeds += passed.bytes().filter(|b| *b == b'\x0c').count() as u32;
        self.byte = to;
    }
}
