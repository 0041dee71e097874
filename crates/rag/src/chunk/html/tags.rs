//! Attributes that are too many to read.
//!
//! html5ever compares an attribute with all before it in its tag, so that a tag of a hundred thousand takes seconds.
//! Pages have a dozen. Tags are found here as the HTML standard has them read; where its finer points of scripts and
//! comments are left out, this takes text for a tag, never a tag for text.
use crate::Result;
use crate::model::Checkpoint;
use std::ops::Range;

/// Attributes of a tag that are read.
const MAX_ATTRIBUTES: usize = 256;

/// Tags between two calls of the checkpoint.
const TAGS_PER_CHECKPOINT: usize = 4096;

/// Elements whose content holds no tag but their own end.
const RAW_TEXT_ELEMENTS: [&str; 8] =
    ["script", "style", "iframe", "noembed", "noframes", "xmp", "title", "textarea"];

/// Bytes of attributes to leave out, in order.
pub(super) fn excess_attributes(
    html: &str,
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut tags = Tags { html: html.as_bytes(), at: 0 };
    let mut count = 0;
    while tags.skip_past('<') {
        count += 1;
        if count % TAGS_PER_CHECKPOINT == 0 {
            checkpoint()?;
        }
        found.extend(tags.markup());
    }
    Ok(found)
}

struct Tags<'a> {
    html: &'a [u8],
    at: usize,
}

impl Tags<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.html.get(self.at + ahead).copied()
    }

    /// Goes to the next `c` and behind it; to the end where there is none.
    fn skip_past(&mut self, c: char) -> bool {
        self.skip(|b| b != c as u8);
        let is_found = self.at < self.html.len();
        self.at += usize::from(is_found);
        is_found
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let rest = &self.html[self.at..];
        self.at += rest.iter().position(|b| !is_skipped(*b)).unwrap_or(rest.len());
    }

    /// Goes behind what starts with the `<` before this place. Gives the attributes to leave out.
    fn markup(&mut self) -> Option<Range<usize>> {
        match (self.peek(0), self.peek(1)) {
            (Some(b'!'), Some(b'-')) if self.peek(2) == Some(b'-') => self.comment(),
            (Some(b'/'), Some(b)) if b.is_ascii_alphabetic() => {
                self.at += 1;
                return self.tag();
            }
            (Some(b'!' | b'?'), _) | (Some(b'/'), Some(_)) => _ = self.skip_past('>'),
            (Some(b), _) if b.is_ascii_alphabetic() => {
                let start = self.at;
                let excess = self.tag();
                let name =
                    self.html[start..].iter().position(|b| ends_name(*b)).unwrap_or_default();
                self.raw(start..start + name);
                return excess;
            }
            _ => {}
        }
        None
    }

    fn comment(&mut self) {
        self.at += 1;
        while self.skip_past('-') {
            let is_end = self.peek(0) == Some(b'-')
                && (self.peek(1) == Some(b'>') || self.html[self.at..].starts_with(b"-!>"));
            if is_end {
                break;
            }
        }
    }

    /// Reads a tag from its name on.
    fn tag(&mut self) -> Option<Range<usize>> {
        self.skip(|b| !ends_name(b));
        let mut excess = None;
        for count in 1.. {
            self.skip(|b| is_space(b) || b == b'/');
            if self.peek(0).is_none_or(|b| b == b'>') {
                break;
            }
            if count > MAX_ATTRIBUTES {
                excess.get_or_insert(self.at);
            }
            self.attribute();
        }
        excess.map(|start| start..self.at)
    }

    fn attribute(&mut self) {
        // An equals sign at its start belongs to its name.
        self.at += 1;
        self.skip(|b| !ends_name(b) && b != b'=');
        self.skip(is_space);
        if self.peek(0) != Some(b'=') {
            return;
        }
        self.at += 1;
        self.skip(is_space);
        match self.peek(0) {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.skip_past(quote as char);
            }
            _ => self.skip(|b| !is_space(b) && b != b'>'),
        }
    }

    /// Goes to the end tag of an element that has raw text.
    fn raw(&mut self, name: Range<usize>) {
        let name = &self.html[name];
        if name.eq_ignore_ascii_case(b"plaintext") {
            self.at = self.html.len();
        }
        if !RAW_TEXT_ELEMENTS.iter().any(|raw| name.eq_ignore_ascii_case(raw.as_bytes())) {
            return;
        }
        while self.skip_past('<') {
            let rest = &self.html[self.at..];
            let end = rest.get(1..=name.len()).unwrap_or_default();
            let is_end = rest[0..].starts_with(b"/")
                && end.eq_ignore_ascii_case(name)
                && rest.get(1 + name.len()).is_some_and(|b| ends_name(*b));
            if is_end {
                self.at -= 1;
                return;
            }
        }
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

fn ends_name(b: u8) -> bool {
    is_space(b) || b == b'/' || b == b'>'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(html: &str) -> Vec<String> {
        let excess = excess_attributes(html, &mut || Ok(())).unwrap();
        excess.into_iter().map(|range| html[range].to_owned()).collect()
    }

    #[test]
    fn attributes_past_the_limit_are_left_out_up_to_the_end_of_the_tag() {
        let many = " a=b".repeat(MAX_ATTRIBUTES);
        for (rest, expected) in [
            (">x", None),
            (" x>y", Some("x")),
            (" x='>' y=\">\" z = w>t", Some("x='>' y=\">\" z = w")),
            (" /x/>y", Some("x/")),
            (" x", Some("x")),
        ] {
            for tag in ["<p", "</P", "<a<b", "<title"] {
                assert_eq!(
                    left_out(&format!("{tag}{many}{rest}")),
                    expected.into_iter().collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn what_is_no_tag_has_no_attributes() {
        let many = " a".repeat(MAX_ATTRIBUTES + 1);
        for html in [
            format!("< p{many}>"),
            format!("<!-- <p{many} --><!--><!---><p>"),
            format!("<!p{many}><?p{many}></ {many}>"),
            format!("<script>a<b{many}</script >"),
            format!("<Title>a<b{many}</title>"),
            format!("<plaintext>a<b{many}"),
            format!("<p title='<p{many}'>"),
        ] {
            assert!(left_out(&html).is_empty(), "{html}");
            assert_eq!(
                left_out(&format!("{html}<p{many}>")).len(),
                usize::from(!html.starts_with("<plain"))
            );
        }
    }
}
