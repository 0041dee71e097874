//! HTML that nothing gets into unescaped: text is added by [`Html::text`], markup as literals of this program.
use std::fmt::Write;

#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Markup of this program.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything, escaped for text and for attributes in double quotes.
    pub fn text(&mut self, text: impl std::fmt::Display) -> &mut Self {
        for c in text.to_string().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Control characters are no HTML, and marks that turn the direction would reorder what stands behind.
                c if c.is_control() && !"\n\t".contains(c) => self.0.push('\u{fffd}'),
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A coordinate or length of a plot.
    pub fn number(&mut self, number: f64) -> &mut Self {
        write!(self.0, "{number:.1}").expect("a String takes all");
        self
    }

    pub fn append(&mut self, other: &Html) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_no_markup() {
        let mut html = Html::default();
        html.text("<script>\"'&\u{202e}\u{7}\n");
        assert_eq!(html.into_string(), "&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}\n");
    }
}
