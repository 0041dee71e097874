//! Tells the format of a text from its beginning.
use super::Format;

/// Bytes looked at.
const SAMPLE_BYTES: usize = 64 * 1024;

/// The format `text` most likely has.
pub(super) fn format(text: &str) -> Format {
    let sample = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
    if is_html(sample) {
        Format::Html
    } else if is_markdown(sample, sample.len() < text.len()) {
        Format::Markdown
    } else {
        Format::Plain
    }
}

/// Whether a text starts as an HTML document does, or with a tag that is closed further on.
fn is_html(sample: &str) -> bool {
    let start = sample.trim_start_matches('\u{feff}').trim_start();
    let lower = |prefix: &str| {
        start.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if lower("<!doctype html") || lower("<html") {
        return true;
    }
    if lower("<?xml") || lower("<!--") {
        return contains_tag(start, "html") || contains_tag(start, "body");
    }
    let Some(rest) = start.strip_prefix('<') else { return false };
    let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    let known = [
        "a",
        "article",
        "b",
        "blockquote",
        "body",
        "div",
        "dl",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "header",
        "i",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "span",
        "strong",
        "table",
        "ul",
    ];
    let closed = format!("</{}", name.to_ascii_lowercase());
    known.iter().any(|tag| name.eq_ignore_ascii_case(tag))
        && sample.to_ascii_lowercase().contains(&closed)
}

fn contains_tag(sample: &str, name: &str) -> bool {
    sample.to_ascii_lowercase().contains(&format!("<{name}"))
}

/// Whether enough lines look like Markdown and like nothing else. A fence of a sample that `goes_on` may be closed behind it.
fn is_markdown(sample: &str, goes_on: bool) -> bool {
    let lines: Vec<&str> = sample.lines().map(str::trim_end).collect();
    let fences = lines.iter().filter(|line| is_fence(line)).count();
    let is_open = goes_on && !fences.is_multiple_of(2);
    let strong: usize = (0..lines.len()).map(|i| strength(&lines, i)).sum();
    let strong = strong + usize::from(is_open);
    let weak = lines.iter().filter(|line| is_emphasised(line)).count();
    strong >= 2 || (strong >= 1 && weak >= 2)
}

/// How surely a line is Markdown.
fn strength(lines: &[&str], i: usize) -> usize {
    let blank = |i: Option<usize>| i.and_then(|i| lines.get(i)).is_none_or(|line| line.is_empty());
    let (line, before) = (lines[i], i.checked_sub(1));
    if is_heading(line) && blank(before) {
        // A comment of a script is followed by more of it.
        return if blank(Some(i + 1)) { 2 } else { 1 };
    }
    let is_title_underlined =
        is_underline(line) && !blank(before) && blank(before.and_then(|i| i.checked_sub(1)));
    usize::from(is_title_underlined || is_fence(line) || is_table_rule(line) || has_link(line))
}

fn is_fence(line: &str) -> bool {
    line.starts_with("```") || line.starts_with("~~~")
}

fn has_link(line: &str) -> bool {
    line.split_once("](").is_some_and(|(before, after)| before.contains('[') && after.contains(')'))
}

fn is_emphasised(line: &str) -> bool {
    is_bullet(line) || line.matches("**").count() >= 2 || line.matches('`').count() >= 2
}

fn is_heading(line: &str) -> bool {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    (1..=6).contains(&level) && title.starts_with(' ') && !title.trim().is_empty()
}

fn is_underline(line: &str) -> bool {
    line.len() >= 3 && (line.bytes().all(|b| b == b'=') || line.bytes().all(|b| b == b'-'))
}

fn is_table_rule(line: &str) -> bool {
    line.contains("--") && line.contains('|') && line.bytes().all(|b| b"|-: ".contains(&b))
}

fn is_bullet(line: &str) -> bool {
    let line = line.trim_start();
    ["- ", "* ", "+ "].iter().any(|marker| line.starts_with(marker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_starts_with_a_tag_that_is_closed() {
        for text in [
            "<!DOCTYPE html><p>x",
            "\u{feff}\n<HTML>",
            "<p>One</p>",
            "<?xml version=\"1.0\"?><html/>",
            "<!-- x --><body>",
            "<DIV>x</div>",
        ] {
            assert_eq!(format(text), Format::Html, "{text}");
        }
        for text in
            ["<3 you", "<stdio.h> is a header", "a < b", "<p", "x <p>One</p>", "<foo>x</foo>"]
        {
            assert_eq!(format(text), Format::Plain, "{text}");
        }
    }

    #[test]
    fn a_fence_may_be_closed_behind_what_is_looked_at() {
        for lines in [10, SAMPLE_BYTES] {
            let text = format!("```\n{}```\n", "a\n".repeat(lines));
            assert_eq!(format(&text), Format::Markdown, "{lines}");
        }
        assert_eq!(format("```\na\n"), Format::Plain);
    }

    #[test]
    fn markdown_needs_more_than_one_sign() {
        for text in [
            "# Title\n\nText",
            "Title\n=====\n\nSee [x](y).",
            "a\n\n```\ncode\n```\n",
            "| a | b |\n|---|---|\n[x](y)",
        ] {
            assert_eq!(format(text), Format::Markdown, "{text}");
        }
        for text in [
            "",
            "Plain words.\n\nMore words.",
            "#!/bin/sh\n# comment\nset -e\n",
            "- one\n- two\n",
            "#hash tag",
            "# a setting\nport = 5432\n",
            "1. One\n2. Two",
        ] {
            assert_eq!(format(text), Format::Plain, "{text}");
        }
    }
}
