//! Writing Markdown: blocks apart by blank lines.
use crate::document::too_much;
use crate::failure::Failure;

/// Blocks of a page.
#[derive(Debug)]
pub struct Writer {
    text: String,
    limit: usize,
    full: bool,
    in_list: bool,
}

impl Writer {
    /// A page of `limit` bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, full: false, in_list: false }
    }

    /// The page so far; the writer goes on with an empty one.
    pub fn take(&mut self) -> Result<String, Failure> {
        if self.full {
            return Err(too_much(self.limit));
        }
        self.in_list = false;
        Ok(std::mem::take(&mut self.text))
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the limit is reached: what is still written is lost, and `take` fails.
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn put(&mut self, text: &str) {
        if self.text.len() + text.len() > self.limit {
            self.full = true;
        } else {
            self.text.push_str(text);
        }
    }

    fn block(&mut self) {
        if !self.text.is_empty() {
            self.put(if self.text.ends_with('\n') { "\n" } else { "\n\n" });
        }
        self.in_list = false;
    }

    pub fn heading(&mut self, level: usize, text: &str) {
        let text = one_line(text);
        if text.is_empty() {
            return;
        }
        self.block();
        self.put(&"######"[..level.clamp(1, 6)]);
        self.put(" ");
        self.put(&text);
    }

    pub fn paragraph(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.block();
            self.put(text);
        }
    }

    /// An entry of a list, `depth` lists deep (the outermost is 0).
    pub fn item(&mut self, depth: usize, marker: &str, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if self.in_list {
            self.put("\n");
        } else {
            self.block();
        }
        self.in_list = true;
        let indent = "  ".repeat(depth.min(20)) + if depth > 0 && marker != "-" { " " } else { "" };
        self.put(&indent);
        self.put(marker);
        self.put(" ");
        self.put(&text.replace('\n', &format!("\n{indent}  ")));
    }

    pub fn code(&mut self, language: &str, text: &str) {
        let text = text.trim_end().trim_start_matches('\n');
        if text.is_empty() {
            return;
        }
        self.block();
        let mut fence = "```".to_owned();
        while text.contains(&fence) {
            fence.push('`');
        }
        self.put(&format!("{fence}{language}\n"));
        self.put(text);
        self.put("\n");
        self.put(&fence);
    }

    /// A table whose first row is the header. Rows may differ in length.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        let last = |row: &Vec<String>| row.iter().rposition(|cell| !cell.trim().is_empty());
        let width = rows.iter().filter_map(last).max().map_or(0, |last| last + 1);
        let rows: Vec<&Vec<String>> = rows.iter().filter(|row| last(row).is_some()).collect();
        if width == 1 {
            for row in rows {
                self.paragraph(&row[0]);
            }
            return;
        }
        if rows.is_empty() {
            return;
        }
        self.block();
        for (n, row) in rows.iter().enumerate() {
            if self.full {
                return;
            }
            let cells =
                (0..width).map(|n| row.get(n).map_or_else(String::new, |cell| escape(cell)));
            let line = cells.collect::<Vec<_>>().join(" | ");
            self.put(if n == 0 { "| " } else { "\n| " });
            self.put(&line);
            self.put(" |");
            if n == 0 {
                self.put("\n|");
                self.put(&" --- |".repeat(width));
            }
        }
    }
}

/// A cell: in one line, and with its bars told apart from those between cells.
fn escape(cell: &str) -> String {
    one_line(cell).replace('|', "\\|")
}

/// The words of a text in one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::Writer;

    #[test]
    fn blocks_are_apart_and_tables_have_a_header() {
        let mut page = Writer::new(1000);
        page.heading(2, "Some\nhead");
        page.item(0, "-", "one");
        page.item(1, "1.", "two");
        page.table(&[vec!["a".into(), "b|c".into(), String::new()], vec!["d".into()]]);
        page.code("sql", "SELECT '```'");
        let wanted = "## Some head\n\n- one\n   1. two\n\n| a | b\\|c |\n| --- | --- |\n| d |  |\n\n````sql\nSELECT '```'\n````";
        assert_eq!(page.take().unwrap(), wanted);
    }

    #[test]
    fn a_page_beyond_its_limit_is_refused() {
        let mut page = Writer::new(10);
        page.paragraph("0123456789");
        page.paragraph("x");
        assert!(page.take().is_err());
    }
}
