//! The page: a header, and for each collection its parts. A part that cannot be had says why.
use crate::Options;
use crate::database::{Database, Query};
use crate::html::Html;
use crate::plot::{self, Row};
use serde_json::Value;

macro_rules! query {
    ($new:ident, $file:literal) => {
        Query::$new(include_str!(concat!("../sql/", $file)))
    };
}

const STYLE: &str = include_str!("style.css");

/// The whole page, or why the database could not be asked.
pub fn page(database: &Database, options: &Options) -> Result<String, String> {
    let server = database
        .ask(query!(under_callers_path, "server.sql"), &[("questions", &options.questions)])?;
    if server.is_null() {
        return Err("the database has no rag_pg\nHINT:  CREATE EXTENSION rag_pg CASCADE, or name another database.".to_owned());
    }
    let names = Value::from(options.collections.clone()).to_string();
    let collections = database.ask(query!(new, "collections.sql"), &[("collections", &names)])?;
    for name in &options.collections {
        if !array(&collections).iter().any(|known| text(known, "collection") == *name) {
            return Err(format!(
                "there is no collection \"{name}\" that the role \"{}\" may see",
                text(&server, "role")
            ));
        }
    }
    let mut html = Html::default();
    head(&mut html, &server);
    if array(&collections).is_empty() {
        html.raw("<p class=\"empty\">There is no collection that this role may see.</p>");
    }
    for collection in array(&collections) {
        Part { database, options, server: &server, name: text(collection, "collection") }
            .write(&mut html, collection);
    }
    html.raw("</main></body></html>\n");
    Ok(html.into_string())
}

fn head(html: &mut Html, server: &Value) {
    html.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
    // Nothing runs and nothing is fetched, whatever a text made it past the escaping.
    html.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">");
    html.raw("<title>rag_pg: ")
        .text(text(server, "database"))
        .raw("</title><style>")
        .raw(STYLE)
        .raw("</style></head><body><main>");
    html.raw("<header><h1>Collections of ")
        .text(text(server, "database"))
        .raw("</h1><p>")
        .text(text(server, "made_at"));
    html.raw(" · rag_pg ")
        .text(text(server, "version"))
        .raw(" · PostgreSQL ")
        .text(text(server, "server"));
    html.raw(" · as ").text(text(server, "role")).raw("</p></header>");
}

/// One collection's parts.
struct Part<'a> {
    database: &'a Database,
    options: &'a Options,
    server: &'a Value,
    name: String,
}

impl Part<'_> {
    fn ask(&self, query: Query, more: &[(&str, &str)]) -> Result<Value, String> {
        let schema = text(self.server, "schema");
        let mut variables = vec![("collection", self.name.as_str()), ("schema", schema.as_str())];
        variables.extend_from_slice(more);
        self.database.ask(query, &variables)
    }

    fn write(&self, html: &mut Html, collection: &Value) {
        html.raw("<section><h2>").text(&self.name).raw("</h2>");
        let calls = self.ask(query!(new, "calls.sql"), &[]);
        tiles(html, collection, calls.as_ref().ok());
        html.raw("<div class=\"cards\">");
        card(html, "Coverage", Ok(coverage(collection)));
        card(html, "Quality of each stage", self.quality());
        card(html, "Recall of the vector index", self.recall());
        card(html, "Relevance of what was found", self.relevance());
        card(html, "Confidence of answers", self.confidence());
        card(html, "Time of each step", self.steps());
        card(html, "Latency of all calls", calls.map(|calls| latency(&calls)));
        card(html, "Cost of remote models", self.cost());
        html.raw("</div>");
        wide(html, "Questions without an answer", self.unanswered());
        wide(html, "Documents given up", self.dead());
        html.raw("</section>");
    }

    fn quality(&self) -> Result<Html, String> {
        let (questions, k) = (text(self.server, "questions"), self.options.k.to_string());
        let rows = self.ask(
            query!(under_callers_path, "evaluate.sql"),
            &[("questions", &questions), ("k", &k)],
        )?;
        let mut html = plot::legend(&["recall", "MRR", "nDCG"]);
        let row = |row: &Value| Row {
            label: text(row, "stage"),
            values: ["recall", "mrr", "ndcg"].map(|measure| row[measure].as_f64()).to_vec(),
        };
        let bars: Vec<_> = array(&rows).iter().map(row).collect();
        html.append(&plot::bars(&bars, 1.0, |value| format!("{value:.3}")));
        let asked = array(&rows).first().map_or(0.0, |row| number(row, "asked"));
        html.raw("<p class=\"note\">")
            .text(count(asked))
            .raw(" judged questions, the first ")
            .text(k)
            .raw(" documents</p>");
        Ok(html)
    }

    fn recall(&self) -> Result<Html, String> {
        if self.options.recall == 0 {
            return Ok(empty("Not measured: --recall 0."));
        }
        let queries = self.options.recall.to_string();
        let found = self.ask(query!(under_callers_path, "recall.sql"), &[("queries", &queries)])?;
        let mut html = Html::default();
        html.raw("<p class=\"big\">")
            .text(format!("{:.3}", number(&found, "recall")))
            .raw("</p><p class=\"note\">of the ten nearest chunks, found for ");
        html.text(count(number(&found, "asked")))
            .raw(" questions, ")
            .text(count(number(&found, "logged")))
            .raw(" of them from the log</p>");
        let rows = [("by the index", "index_p50_ms"), ("exactly", "exact_p50_ms")]
            .map(|(label, key)| Row { label: label.to_owned(), values: vec![found[key].as_f64()] });
        let most = rows.iter().filter_map(|row| row.values[0]).fold(0.0, f64::max);
        html.append(&plot::bars(&rows, most, milliseconds));
        html.raw("<p class=\"note\">").text(text(&found, "access")).raw("</p>");
        Ok(html)
    }

    fn relevance(&self) -> Result<Html, String> {
        let rows = self.ask(query!(new, "relevance.sql"), &[])?;
        Ok(self.histogram(&rows, ["returned", "others"], ["returned", "other candidates"]))
    }

    fn confidence(&self) -> Result<Html, String> {
        let rows = self.ask(query!(new, "confidence.sql"), &[])?;
        Ok(self.histogram(&rows, ["answered", "refused"], ["answered", "refused"]))
    }

    /// Twenty buckets from 0 to 1 of two series.
    fn histogram(&self, rows: &Value, keys: [&str; 2], names: [&str; 2]) -> Html {
        if array(rows).is_empty() {
            return self.unlogged();
        }
        let mut series = keys.map(|_| vec![0.0; 20]);
        for row in array(rows) {
            let bucket = number(row, "bucket") as usize;
            for (values, key) in series.iter_mut().zip(keys) {
                values[bucket.min(19)] = number(row, key);
            }
        }
        let labels: Vec<_> = (0..20).map(|at| format!("{:.2}", f64::from(at) / 20.0)).collect();
        let mut html = plot::legend(&names);
        html.append(&plot::columns(&labels, &series, count));
        html
    }

    fn steps(&self) -> Result<Html, String> {
        let rows = self.ask(query!(new, "stages.sql"), &[])?;
        if array(&rows).is_empty() {
            return Ok(self.unlogged());
        }
        let row = |row: &Value| Row {
            label: format!("{} · {}", text(row, "kind"), text(row, "step")),
            values: vec![row["p50"].as_f64(), row["p95"].as_f64()],
        };
        let bars: Vec<_> = array(&rows).iter().map(row).collect();
        let most = bars
            .iter()
            .flat_map(|row| row.values.iter().flatten())
            .fold(0.0, |most: f64, value| most.max(*value));
        let mut html = plot::legend(&["median", "95th percentile"]);
        html.append(&plot::bars(&bars, most, milliseconds));
        Ok(html)
    }

    fn cost(&self) -> Result<Html, String> {
        let cost = self.ask(query!(new, "cost.sql"), &[])?;
        let models = array(&cost["models"]);
        if models.is_empty() {
            return Ok(empty("No remote model was called in the last thirty days."));
        }
        let days = array(&cost["days"]);
        let labels: Vec<_> = days.iter().map(|day| text(day, "day")).collect();
        let is_priced = models.iter().any(|model| number(model, "cost") > 0.0);
        let key = if is_priced { "cost" } else { "calls" };
        let mut html =
            plot::columns(&labels, &[days.iter().map(|day| number(day, key)).collect()], money);
        html.raw("<p class=\"note\">").text(key).raw(" a day, thirty days</p>");
        let rows = models.iter().map(|model| {
            vec![
                format!("{} · {}", text(model, "model"), text(model, "purpose")),
                count(number(model, "calls")),
                count(number(model, "failed")),
                count(number(model, "tokens")),
                model["cost"].as_f64().map_or("–".to_owned(), money),
            ]
        });
        table(&mut html, &["model", "calls", "failed", "tokens", "cost"], rows);
        Ok(html)
    }

    fn unanswered(&self) -> Result<Html, String> {
        let rows = self.ask(query!(new, "unanswered.sql"), &[])?;
        if array(&rows).is_empty() {
            let is_logged = self.server["is_logged"].as_bool().unwrap_or_default();
            return Ok(if is_logged { empty("None in the log.") } else { self.unlogged() });
        }
        let mut html = Html::default();
        let decimals = |row: &Value, key| {
            row[key].as_f64().map_or("–".to_owned(), |value| format!("{value:.2}"))
        };
        let rows = array(&rows).iter().map(|row| {
            vec![
                text(row, "query"),
                count(number(row, "asked")),
                text(row, "last"),
                decimals(row, "relevance"),
                decimals(row, "confidence"),
            ]
        });
        table(&mut html, &["question", "asked", "last", "best relevance", "confidence"], rows);
        Ok(html)
    }

    fn dead(&self) -> Result<Html, String> {
        let rows = self.ask(query!(new, "dead.sql"), &[])?;
        if array(&rows).is_empty() {
            return Ok(empty("None."));
        }
        let mut html = Html::default();
        let rows = array(&rows).iter().map(|row| {
            let keys: Vec<_> = array(&row["keys"]).iter().filter_map(Value::as_str).collect();
            vec![
                text(row, "reason"),
                count(number(row, "documents")),
                text(row, "failure"),
                text(row, "last"),
                keys.join(" "),
            ]
        });
        table(&mut html, &["reason", "documents", "failure", "last", "for example"], rows);
        html.raw("<p class=\"note\">rag_retry tries them again.</p>");
        Ok(html)
    }

    fn unlogged(&self) -> Html {
        if self.server["is_logged"].as_bool().unwrap_or_default() {
            return empty("Nothing is in the query log that this role may read.");
        }
        empty(
            "The query log is off: ALTER SYSTEM SET rag_pg.query_log_sample = 0.1 switches it on.",
        )
    }
}

fn tiles(html: &mut Html, collection: &Value, calls: Option<&Value>) {
    html.raw("<div class=\"tiles\">");
    let mut tile = |value: f64, name: &'static str, detail: String, is_bad: bool| {
        html.raw(if is_bad { "<div class=\"bad\">" } else { "<div>" });
        html.raw("<b>").text(count(value)).raw("</b><span>").raw(name);
        html.raw("</span><span>").text(detail).raw("</span></div>");
    };
    let of = |key| number(collection, key);
    tile(of("documents"), "documents", format!("{} chunks", count(of("chunks"))), false);
    let rate =
        collection["rate"].as_f64().map_or(String::new(), |rate| format!("{rate:.1} a second"));
    tile(of("pending") + of("in_flight"), "waiting", rate, false);
    tile(of("dead"), "given up", String::new(), of("dead") > 0.0);
    for kind in calls.map(array).unwrap_or_default() {
        let (all, errors) = (number(kind, "calls"), number(kind, "errors"));
        let share = if all > 0.0 { number(kind, "no_answer") / all * 100.0 } else { 0.0 };
        let (name, without) = if text(kind, "kind") == "search" {
            ("searches", "found nothing")
        } else {
            ("questions", "not answered")
        };
        tile(all, name, format!("{share:.1} % {without}, {} failed", count(errors)), errors > 0.0);
    }
    html.raw("</div>");
    if let Some(paused) = collection["paused"].as_str() {
        html.raw("<p class=\"alarm\">Paused: ").text(paused).raw("</p>");
    }
    if collection["worker"] == "missing" {
        html.raw("<p class=\"alarm\">Work is waiting and no worker runs. Raise max_worker_processes, or CALL rag_work().</p>");
    }
}

fn coverage(collection: &Value) -> Html {
    let of = |key| number(collection, key);
    let mut html = plot::whole(&[
        ("s1", "indexed", of("indexed")),
        ("s2", "waiting", of("pending") + of("in_flight")),
        ("s4", "given up", of("dead")),
    ]);
    html.raw("<p class=\"note\">");
    match (collection["lag"].as_str(), collection["eta"].as_str()) {
        (Some(lag), Some(eta)) => {
            html.text(format!("The oldest change waits for {lag}; {eta} left at the present rate."))
        }
        (Some(lag), None) => html.text(format!("The oldest change waits for {lag}.")),
        _ => html.raw("Everything committed is searchable."),
    };
    html.raw("</p>");
    let rows = array(&collection["generations"]).iter().map(|generation| {
        let overlap = number(generation, "overlap_tokens");
        vec![
            format!("{} · {}", count(number(generation, "generation")), text(generation, "state")),
            format!("{} ({})", text(generation, "model"), number(generation, "dimensions")),
            format!("{} + {overlap}", count(number(generation, "max_tokens"))),
            text(generation, "index"),
            count(number(generation, "chunks")),
            text(generation, "size"),
        ]
    });
    table(&mut html, &["generation", "model", "tokens", "index", "chunks", "size"], rows);
    for generation in array(&collection["generations"]) {
        if let Some(error) = generation["error"].as_str() {
            html.raw("<p class=\"alarm\">Generation ")
                .text(number(generation, "generation"))
                .raw(": ")
                .text(error)
                .raw("</p>");
        }
    }
    html
}

/// Counted calls by the time they took.
fn latency(calls: &Value) -> Html {
    let bounds: Vec<_> =
        array(calls).first().map(|kind| array(&kind["latency_ms"]).to_vec()).unwrap_or_default();
    let series: Vec<Vec<f64>> = array(calls)
        .iter()
        .map(|kind| {
            array(&kind["latency"]).iter().map(|count| count.as_f64().unwrap_or_default()).collect()
        })
        .collect();
    if !series.iter().flatten().any(|count| *count > 0.0) {
        return empty(
            "Nothing was counted yet. Counting needs rag_pg in shared_preload_libraries.",
        );
    }
    let label = |bound: &Value| match bound.as_f64() {
        None => "more".to_owned(),
        Some(ms) if ms >= 1000.0 => format!("{} s", ms / 1000.0),
        Some(ms) => format!("{ms} ms"),
    };
    let labels: Vec<_> = bounds.iter().map(label).collect();
    let names: Vec<_> = array(calls)
        .iter()
        .map(|kind| if text(kind, "kind") == "search" { "searches" } else { "answers" })
        .collect();
    let mut html = plot::legend(&names);
    html.append(&plot::columns(&labels, &series, count));
    html.raw("<p class=\"note\">calls that took up to so long</p>");
    html
}

fn card(html: &mut Html, title: &'static str, content: Result<Html, String>) {
    html.raw("<div class=\"card\">");
    titled(html, title, content);
}

fn wide(html: &mut Html, title: &'static str, content: Result<Html, String>) {
    html.raw("<div class=\"card wide\">");
    titled(html, title, content);
}

fn titled(html: &mut Html, title: &'static str, content: Result<Html, String>) {
    html.raw("<h3>").raw(title).raw("</h3>");
    match content {
        Ok(content) => html.append(&content),
        Err(error) => html.raw("<p class=\"empty\">").text(error).raw("</p>"),
    };
    html.raw("</div>");
}

fn empty(text: &'static str) -> Html {
    let mut html = Html::default();
    html.raw("<p class=\"empty\">").raw(text).raw("</p>");
    html
}

/// The first column is text, the last ones too where they are no numbers.
fn table(html: &mut Html, names: &[&'static str], rows: impl Iterator<Item = Vec<String>>) {
    html.raw("<table><thead><tr>");
    for name in names {
        html.raw("<th>").raw(name).raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    for row in rows {
        html.raw("<tr>");
        for cell in row {
            html.raw("<td>").text(cell).raw("</td>");
        }
        html.raw("</tr>");
    }
    html.raw("</tbody></table>");
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_default()
}

/// A whole number with a comma for each thousand.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let grouped: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    grouped.join(",")
}

fn milliseconds(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.2} ms")
    }
}

fn money(amount: f64) -> String {
    if amount >= 100.0 || amount == 0.0 { count(amount) } else { format!("{amount:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            [0.0, 999.0, 1_000.0, 12_345_678.0].map(count),
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!([0.25, 12.4, 1500.0].map(milliseconds), ["0.25 ms", "12 ms", "1.5 s"]);
        assert_eq!([0.0, 0.126, 1234.5].map(money), ["0", "0.13", "1,234"]);
    }
}
