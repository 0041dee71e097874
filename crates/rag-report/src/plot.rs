//! Plots as inline SVG: no script, no font, no file of elsewhere. Colours are classes of the page's style sheet.
use crate::html::Html;

const WIDTH: f64 = 640.0;

/// One row of [`bars`]: a label and a bar for each series; what is missing has none.
pub struct Row {
    pub label: String,
    pub values: Vec<Option<f64>>,
}

/// Classes of the series, in their order.
const SERIES: [&str; 3] = ["s1", "s2", "s3"];

/// Names of series with their colours.
pub fn legend(names: &[&str]) -> Html {
    let mut html = Html::default();
    html.raw("<p class=\"legend\">");
    for (name, class) in names.iter().zip(SERIES) {
        html.raw("<span><i class=\"").text(class).raw("\"></i>").text(name).raw("</span>");
    }
    html.raw("</p>");
    html
}

/// Horizontal bars from 0 to `most`, those of a row below each other, each with its value as `shown` gives it.
pub fn bars(rows: &[Row], most: f64, shown: impl Fn(f64) -> String) -> Html {
    let (label_width, value_width, height, gap) = (130.0, 80.0, 13.0, 12.0);
    let scale = (WIDTH - label_width - value_width) / most.max(f64::MIN_POSITIVE);
    let mut html = Html::default();
    let mut y = gap / 2.0;
    let total: f64 = rows.iter().map(|row| row.values.len() as f64 * (height + 3.0) + gap).sum();
    open(&mut html, total);
    for row in rows {
        let middle = y + row.values.len() as f64 * (height + 3.0) / 2.0 + 3.0;
        label(&mut html, label_width - 10.0, middle, "end", &row.label);
        for (value, class) in row.values.iter().zip(SERIES) {
            if let Some(value) = value {
                rect(
                    &mut html,
                    (label_width, y),
                    ((value * scale).max(1.0), height),
                    class,
                    &shown(*value),
                );
                label(
                    &mut html,
                    label_width + value * scale + 6.0,
                    y + height - 2.5,
                    "start",
                    &shown(*value),
                );
            }
            y += height + 3.0;
        }
        y += gap;
    }
    html.raw("</svg>");
    html
}

/// Stacked columns, one for each label; of many labels every few are written.
pub fn columns(labels: &[String], series: &[Vec<f64>], shown: impl Fn(f64) -> String) -> Html {
    let (left, top, bottom, height) = (56.0, 10.0, 22.0, 150.0);
    let sum = |at: usize| series.iter().map(|values| values[at]).sum::<f64>();
    let most = round_up((0..labels.len()).map(sum).fold(0.0, f64::max));
    let step = (WIDTH - left) / labels.len() as f64;
    let mut html = Html::default();
    open(&mut html, top + height + bottom);
    for share in [0.0, 0.5, 1.0] {
        let y = top + height * (1.0 - share);
        html.raw("<line class=\"grid\" x1=\"").number(left).raw("\" x2=\"").number(WIDTH);
        html.raw("\" y1=\"").number(y).raw("\" y2=\"").number(y).raw("\"/>");
        label(&mut html, left - 8.0, y + 4.0, "end", &shown(most * share));
    }
    let every = (labels.len() as f64 * 44.0 / (WIDTH - left)).ceil().max(1.0) as usize;
    for (at, text) in labels.iter().enumerate() {
        let x = left + at as f64 * step;
        let mut y = top + height;
        for (values, class) in series.iter().zip(SERIES) {
            let part = height * values[at] / most;
            if values[at] > 0.0 {
                y -= part;
                let told = format!("{text}: {}", shown(values[at]));
                rect(&mut html, (x + step * 0.1, y), (step * 0.8, part.max(1.0)), class, &told);
            }
        }
        if at % every == 0 {
            label(&mut html, x + step / 2.0, top + height + 16.0, "middle", text);
        }
    }
    html.raw("</svg>");
    html
}

/// One bar of parts that are a whole: class, name and number of each.
pub fn whole(parts: &[(&'static str, &str, f64)]) -> Html {
    let total: f64 = parts.iter().map(|(_, _, number)| number).sum();
    let mut html = Html::default();
    html.raw("<p class=\"legend\">");
    for (class, name, number) in parts {
        html.raw("<span><i class=\"").raw(class).raw("\"></i>").text(name);
        html.raw(" ").text(number).raw("</span>");
    }
    html.raw("</p>");
    open(&mut html, 22.0);
    let mut x = 0.0;
    for (class, name, number) in parts.iter().filter(|(_, _, number)| *number > 0.0) {
        let width = (WIDTH * number / total).max(3.0);
        rect(&mut html, (x, 2.0), (width, 18.0), class, &format!("{name}: {number}"));
        x += width;
    }
    html.raw("</svg>");
    html
}

/// The next of a few multiples of a power of ten, whose halves are easy to read.
fn round_up(most: f64) -> f64 {
    if most <= 0.0 || (most - 1.0).abs() < f64::EPSILON {
        return 2.0; // Half of it is a whole number too.
    }
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|top| *top >= most)
        .unwrap_or(most)
}

fn open(html: &mut Html, height: f64) {
    html.raw("<svg role=\"img\" viewBox=\"0 0 ").number(WIDTH).raw(" ").number(height).raw("\">");
}

fn rect(html: &mut Html, at: (f64, f64), size: (f64, f64), class: &'static str, told: &str) {
    html.raw("<rect rx=\"2\" class=\"")
        .raw(class)
        .raw("\" x=\"")
        .number(at.0)
        .raw("\" y=\"")
        .number(at.1);
    html.raw("\" width=\"").number(size.0).raw("\" height=\"").number(size.1).raw("\"><title>");
    html.text(told).raw("</title></rect>");
}

fn label(html: &mut Html, x: f64, y: f64, anchor: &'static str, text: &str) {
    html.raw("<text text-anchor=\"")
        .raw(anchor)
        .raw("\" x=\"")
        .number(x)
        .raw("\" y=\"")
        .number(y)
        .raw("\">");
    html.text(text).raw("</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_ends_at_a_round_number() {
        let shown = [0.0, 0.35, 1.0, 7.0, 1200.0].map(|most| round_up(most).to_string());
        assert_eq!(shown, ["2", "0.4", "2", "8", "2000"]);
    }

    #[test]
    fn labels_are_escaped() {
        let rows = [Row { label: "<b>".to_owned(), values: vec![Some(0.5), None] }];
        let svg = bars(&rows, 1.0, |value| format!("{value}<")).into_string();
        assert!(
            svg.contains("&lt;b&gt;") && svg.contains("0.5&lt;") && !svg.contains("<b>"),
            "{svg}"
        );
    }
}
