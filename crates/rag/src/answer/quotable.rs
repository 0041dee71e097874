//! What of a passage can be quoted: sentences, two that follow each other, rows of tables with their header, lists and
//! listings with what introduces them, terms with their definitions.
use super::blocks::{Block, BlockKind, blocks, ends_sentence, item_mark};
use super::words::is_anaphoric;
use crate::chunk;
use std::ops::Range;

/// Longest quote in bytes; longer sentences (tables, listings, text without full stops) are cut at
/// a line end or space.
const MAX_QUOTE_BYTES: usize = 600;

/// Longest quote in bytes of a list or a listing, which is quoted whole or not at all.
const MAX_BLOCK_BYTES: usize = 1500;

/// Longest paragraph in bytes that is quoted with the listing it leads to; of a longer one its last sentence is.
const MAX_INTRODUCTION_BYTES: usize = 300;

/// Longest line in bytes that can be a heading.
const MAX_HEADING_BYTES: usize = 120;

/// A sentence of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Bytes of the text, without white space around them.
    pub bytes: Range<usize>,
    /// Whether it only leads to what follows: a heading, a question, an introduction to a list.
    pub is_lead: bool,
}

/// The sentences of `text[span]` in order. Bounds that [`chunk::sentences`] finds, cut further where
/// a sentence is too long to quote.
pub fn sentences(text: &str, span: Range<usize>) -> Vec<Sentence> {
    let mut found = Vec::new();
    for sentence in chunk::sentences(&text[span.clone()]) {
        push_pieces(text, span.start + sentence.start..span.start + sentence.end, &mut found);
    }
    let last = found.len().saturating_sub(1);
    let is_lead = |(n, bytes): (usize, Range<usize>)| {
        let is_lead = n < last && leads(text, &span, &bytes);
        Sentence { bytes, is_lead }
    };
    found.into_iter().enumerate().map(is_lead).collect()
}

/// Adds `range` without the white space around it, in pieces short enough to quote.
fn push_pieces(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut rest = trimmed(text, range);
    while rest.len() > MAX_QUOTE_BYTES {
        let window = &text[rest.start..text.floor_char_boundary(rest.start + MAX_QUOTE_BYTES)];
        let is_late = |at: &usize| *at > MAX_QUOTE_BYTES / 4;
        let cut = window
            .rfind('\n')
            .filter(is_late)
            .or_else(|| window.rfind(char::is_whitespace).filter(is_late))
            .unwrap_or(window.len());
        found.push(trimmed(text, rest.start..rest.start + cut));
        rest = trimmed(text, rest.start + cut..rest.end);
    }
    if !rest.is_empty() {
        found.push(rest);
    }
}

/// `range` without the white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}

/// Whether a sentence that others follow leads to them.
fn leads(text: &str, span: &Range<usize>, bytes: &Range<usize>) -> bool {
    let sentence = &text[bytes.clone()];
    sentence.ends_with(['?', '？', ':', '：']) || is_heading(text, span, bytes)
}

/// Whether a sentence is a short line by itself, between blank lines or marked with `#`, that no
/// full stop ends.
fn is_heading(text: &str, span: &Range<usize>, bytes: &Range<usize>) -> bool {
    let line = &text[bytes.clone()];
    if line.contains('\n')
        || line.len() > MAX_HEADING_BYTES
        || line.ends_with(['.', '!', '。', '！'])
    {
        return false;
    }
    if line.starts_with('#') {
        return true;
    }
    let before = text[span.start..bytes.start].trim_end_matches([' ', '\t', '\r']);
    let after = &text[bytes.end..span.end];
    let white = &after[..after.len() - after.trim_start().len()];
    (before.is_empty() || before.ends_with("\n\n") || before.ends_with("\n\r\n"))
        && white.matches('\n').count() > 1
}

/// What a candidate is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Sentence,
    /// Two sentences that follow each other; whether the second refers to the first.
    Pair {
        refers_back: bool,
    },
    /// A row of a table.
    Row,
    Item,
    /// A list with its introduction.
    List,
    /// A listing with the sentence that introduces it.
    Listing,
    /// A listing right below a heading.
    BareListing,
    /// A heading, a question, an introduction; navigation; a listing or a signature without a word about it.
    Lead,
}

/// A part of a passage that may be quoted. Pieces are numbered as they stand in [`Quotables::pieces`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub form: Form,
    pub bytes: Range<usize>,
    /// Its own pieces.
    pub own: Range<usize>,
    /// Pieces that say what it is about: a heading, an introduction, the header of a table, a term.
    pub context: Vec<usize>,
    /// Whether it begins with a term and says what that is.
    pub is_definition: bool,
    /// What an answer says of it, where that is not the quote itself.
    pub shown: Option<String>,
    /// How many sentences, rows or items of its section stand before it.
    pub place: usize,
}

/// The candidates of a passage, and the pieces they are made of, in the order of the text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Quotables {
    pub pieces: Vec<Range<usize>>,
    pub candidates: Vec<Candidate>,
}

/// What can be quoted of `text[span]`, whose heading path is `heading`.
pub(super) fn quotables(text: &str, span: Range<usize>, heading: &str) -> Quotables {
    let blocks = blocks(text, span.clone(), heading);
    let mut reader = Reader {
        text,
        span,
        found: Quotables::default(),
        heading: None,
        lead: None,
        term: None,
        header: None,
        place: 0,
        last: None,
        last_but_one: None,
    };
    for (i, block) in blocks.iter().enumerate() {
        reader.read(block, &blocks[i + 1..]);
    }
    reader.found
}

/// Reads blocks in their order, and remembers what the next are about.
struct Reader<'a> {
    text: &'a str,
    span: Range<usize>,
    found: Quotables,
    /// The heading that is open.
    heading: Option<usize>,
    /// A question, an introduction or a term just before.
    lead: Option<Lead>,
    /// The term whose definition is being read.
    term: Option<usize>,
    /// The header of the table that is being read.
    header: Option<usize>,
    place: usize,
    /// The kind of the block that is read, and of the one before it.
    last: Option<BlockKind>,
    last_but_one: Option<BlockKind>,
}

/// A piece that leads to the next block.
#[derive(Clone, Copy)]
struct Lead {
    piece: usize,
    /// Whether it is quoted together with what follows.
    is_quoted: bool,
    is_term: bool,
}

impl Reader<'_> {
    fn read(&mut self, block: &Block, next: &[Block]) {
        let Block { kind, bytes } = block;
        if !matches!(kind, BlockKind::Row | BlockKind::Navigation) {
            self.header = None;
        }
        // What introduces a list or a table is not about what comes after it.
        let is_same = self.last.is_none_or(|last| last == *kind);
        if !is_same && matches!(self.last, Some(BlockKind::Item | BlockKind::Row)) {
            self.lead = None;
        }
        (self.last_but_one, self.last) = (self.last, Some(*kind));
        match kind {
            BlockKind::Heading => {
                let piece = self.piece(bytes.clone());
                (self.heading, self.lead, self.term, self.place) = (Some(piece), None, None, 0);
                self.add_lead(piece);
            }
            BlockKind::Term => {
                let piece = self.piece(bytes.clone());
                self.add_lead(piece);
                self.lead = Some(Lead { piece, is_quoted: true, is_term: true });
                (self.term, self.place) = (Some(piece), 0);
            }
            BlockKind::Header => {
                let piece = self.piece(bytes.clone());
                self.add_lead(piece);
                self.header = Some(piece);
            }
            BlockKind::Navigation => self.add_pieces_as_leads(bytes),
            BlockKind::Row => self.row(bytes, next),
            BlockKind::Code | BlockKind::Fenced => self.listing(bytes),
            BlockKind::Prose => self.prose(bytes, next),
            BlockKind::Item => self.item(bytes, next),
        }
    }

    fn piece(&mut self, bytes: Range<usize>) -> usize {
        self.found.pieces.push(bytes);
        self.found.pieces.len() - 1
    }

    /// Divides a block into pieces; returns their numbers.
    fn pieces(&mut self, bytes: &Range<usize>) -> Range<usize> {
        let first = self.found.pieces.len();
        for sentence in chunk::sentences(&self.text[bytes.clone()]) {
            let range = bytes.start + sentence.start..bytes.start + sentence.end;
            push_pieces(self.text, range, &mut self.found.pieces);
        }
        first..self.found.pieces.len()
    }

    fn add(&mut self, form: Form, own: Range<usize>, lead: Option<Lead>, shown: Option<String>) {
        let pieces = &self.found.pieces;
        let mut bytes = pieces[own.start].start..pieces[own.end - 1].end;
        let above = [self.heading, self.term, self.header];
        let mut context: Vec<usize> =
            above.into_iter().flatten().filter(|piece| *piece < own.start).collect();
        let mut own = own;
        let mut is_definition = false;
        if let Some(Lead { piece, is_quoted, is_term }) = lead {
            let whole = pieces[piece].start..bytes.end;
            is_definition = is_term && is_quoted;
            if is_quoted && whole.len() <= MAX_BLOCK_BYTES && piece < own.start {
                (bytes, own) = (whole, piece..own.end);
            } else {
                context.push(piece);
            }
        }
        let place = self.place;
        self.found.candidates.push(Candidate {
            form,
            bytes,
            own,
            context,
            is_definition,
            shown,
            place,
        });
    }

    fn add_lead(&mut self, piece: usize) {
        self.add(Form::Lead, piece..piece + 1, None, None);
    }

    fn add_pieces_as_leads(&mut self, bytes: &Range<usize>) {
        for piece in self.pieces(bytes) {
            self.add_lead(piece);
        }
    }

    /// A row counts by itself and, with those behind it, as a table that a sentence introduces.
    fn row(&mut self, bytes: &Range<usize>, next: &[Block]) {
        let is_first = self.last_but_one != Some(BlockKind::Row);
        let header = self.header.map(|header| &self.text[self.found.pieces[header].clone()]);
        let shown = header.and_then(|header| labelled(header, &self.text[bytes.clone()]));
        if bytes.len() <= MAX_BLOCK_BYTES {
            let piece = self.piece(bytes.clone());
            let lead = self.lead.map(|lead| Lead { is_quoted: false, ..lead });
            self.add(Form::Row, piece..piece + 1, lead, shown);
            if let Some(lead) = self.lead.filter(|lead| is_first && lead.is_quoted) {
                self.table(lead, piece, next);
            }
        } else {
            for piece in self.pieces(bytes) {
                self.add(Form::Row, piece..piece + 1, self.lead, None);
            }
        }
        self.place += 1;
    }

    fn table(&mut self, lead: Lead, first: usize, next: &[Block]) {
        let rows =
            next.iter().take_while(|b| matches!(b.kind, BlockKind::Row | BlockKind::Navigation));
        let mut end = first + 1;
        for row in rows.filter(|row| row.kind == BlockKind::Row) {
            end = self.piece(row.bytes.clone()) + 1;
        }
        let whole = self.found.pieces[lead.piece].start..self.found.pieces[end - 1].end;
        if whole.len() <= MAX_BLOCK_BYTES {
            self.add(Form::List, first..end, Some(lead), None);
        }
    }

    /// A listing is quoted with the introduction before it, and not by itself.
    fn listing(&mut self, bytes: &Range<usize>) {
        let is_below_heading = self.last_but_one == Some(BlockKind::Heading);
        let lead = self.lead.take();
        let own = self.pieces(bytes);
        if own.is_empty() {
            return;
        }
        match lead {
            Some(Lead { piece, .. })
                if bytes.end - self.found.pieces[piece].start <= MAX_BLOCK_BYTES =>
            {
                self.add(
                    Form::Listing,
                    own,
                    Some(Lead { piece, is_quoted: true, is_term: false }),
                    None,
                );
                self.place += 1;
            }
            None if is_below_heading
                && bytes.len() <= MAX_BLOCK_BYTES
                && !is_signature(&self.text[bytes.clone()]) =>
            {
                self.add(Form::BareListing, own, None, None);
            }
            _ => own.for_each(|piece| self.add_lead(piece)),
        }
    }

    fn prose(&mut self, bytes: &Range<usize>, next: &[Block]) {
        let own = self.pieces(bytes);
        // With the term that it defines.
        let mut before: Option<(usize, Option<Lead>)> = None;
        for piece in own.clone() {
            let is_last = piece + 1 == own.end;
            if !is_last && is_run_in(&self.text[self.found.pieces[piece].clone()]) {
                self.add_lead(piece);
                self.lead = Some(Lead { piece, is_quoted: true, is_term: false });
                (before, self.place) = (None, 0);
                continue;
            }
            if self.is_lead(piece, is_last, next) {
                self.add_lead(piece);
                let is_quoted = !self.text[self.found.pieces[piece].clone()].ends_with(['?', '？']);
                let is_code =
                    |block: &Block| matches!(block.kind, BlockKind::Code | BlockKind::Fenced);
                // A short paragraph introduces a listing as a whole.
                let is_whole = is_last
                    && next.first().is_some_and(is_code)
                    && bytes.len() <= MAX_INTRODUCTION_BYTES;
                let piece = if is_whole { own.start } else { piece };
                self.lead = Some(Lead { piece, is_quoted: is_quoted && is_last, is_term: false });
                before = None;
                continue;
            }
            // What a heading within the paragraph names is said by all of it.
            let lead = self.lead.take();
            self.add(Form::Sentence, piece..piece + 1, lead, None);
            if let Some((previous, term)) = before {
                let length = self.found.pieces[piece].end - self.found.pieces[previous].start;
                if length <= MAX_QUOTE_BYTES {
                    let refers_back = is_anaphoric(&self.text[self.found.pieces[piece].clone()]);
                    self.add(Form::Pair { refers_back }, previous..piece + 1, term, None);
                }
            }
            before = Some((piece, lead.filter(|lead| lead.is_term)));
            self.place += 1;
        }
    }

    /// Whether a sentence only leads to what follows: a question, an introduction.
    fn is_lead(&self, piece: usize, is_last: bool, next: &[Block]) -> bool {
        let sentence = &self.text[self.found.pieces[piece].clone()];
        let is_followed = !is_last || !next.is_empty();
        let is_introduction = is_last
            && next.first().is_some_and(|block| {
                !matches!(block.kind, BlockKind::Prose | BlockKind::Heading | BlockKind::Term)
                    && !ends_sentence(sentence)
            });
        is_introduction
            || is_followed
                && (sentence.ends_with(['?', '？', ':', '：'])
                    || is_heading(self.text, &self.span, &self.found.pieces[piece]))
    }

    /// An item counts by itself and, with those behind it, as a list.
    fn item(&mut self, bytes: &Range<usize>, next: &[Block]) {
        let mark = item_mark(&self.text[bytes.clone()]).unwrap_or(0);
        let own = self.pieces(&(bytes.start + mark..bytes.end));
        let lead = self.lead;
        for piece in own.clone() {
            let lead = lead.map(|lead| Lead { is_quoted: false, ..lead });
            self.add(Form::Item, piece..piece + 1, lead, None);
        }
        self.place += 1;
        // The first item stands right behind what introduces the list.
        let Some(lead) = lead.filter(|lead| lead.is_quoted && lead.piece + 1 == own.start) else {
            return;
        };
        let mut end = own.end;
        for item in next.iter().take_while(|block| block.kind == BlockKind::Item) {
            end = self.pieces(&item.bytes).end;
        }
        let whole = self.found.pieces[lead.piece].start..self.found.pieces[end - 1].end;
        if whole.len() <= MAX_BLOCK_BYTES {
            self.add(Form::List, own.start..end, Some(lead), None);
        }
    }
}

/// Whether a sentence is a heading within its paragraph: emphasised from its beginning to its end.
fn is_run_in(sentence: &str) -> bool {
    sentence.len() <= MAX_HEADING_BYTES
        && ["**", "__"].iter().any(|mark| {
            let inner = sentence.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
            inner.is_some_and(|inner| !inner.is_empty() && !inner.contains(mark))
        })
}

/// Whether a listing only says what a function takes and returns.
fn is_signature(listing: &str) -> bool {
    let mut lines = listing.lines().filter(|line| !line.trim_start().starts_with(['`', '~']));
    let first = lines.find(|line| !line.trim().is_empty()).unwrap_or_default();
    let name =
        first.trim_start().trim_start_matches(|c: char| c.is_alphanumeric() || "_.".contains(c));
    name.starts_with('(') || ["RETURNS", " -> ", " → "].iter().any(|mark| listing.contains(mark))
}

/// The cells of a row behind the names of their columns: `Plan: Pro, Price: 10`. `None` when the columns have no names.
fn labelled(header: &str, row: &str) -> Option<String> {
    let (names, cells) = (cells(header), cells(row));
    if names.len() < cells.len() || names.iter().all(|name| name.is_empty()) {
        return None;
    }
    let label = |(name, cell): (&&str, &&str)| match (name.is_empty(), cell.is_empty()) {
        (_, true) => None,
        (true, _) => Some((*cell).to_owned()),
        _ => Some(format!("{name}: {cell}")),
    };
    let labels: Vec<String> = names.iter().zip(&cells).filter_map(label).collect();
    (!labels.is_empty()).then(|| labels.join(", "))
}

/// The cells of a table's line: between bars that are not escaped.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let row = row.strip_suffix('|').filter(|row| !row.ends_with('\\')).unwrap_or(row);
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in row.match_indices('|') {
        if !row[..at].ends_with('\\') {
            cells.push(row[start..at].trim());
            start = at + 1;
        }
    }
    cells.push(row[start..].trim());
    cells
}
