//! Warnings of texts in a language that a model does not know.
use crate::catalog::collection::Collection;
use crate::models::embedder::Embedder;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{column, fill, read};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::Result;

/// Warns where the vocabulary of a collection's model has no words of its texts. Of a remote model, and of files, calibration tells it later.
pub fn warn_if_without_words(collection: &Collection, embedder: &Embedder) -> Result<()> {
    if !matches!(embedder, Embedder::Local(_)) || collection.is_of_files() {
        return Ok(());
    }
    let (content, _) = collection.text_and_file("s");
    let names = [("content", content.as_str()), ("source", &collection.source_sql)];
    let sql = fill(statement!("catalog/sample_texts"), &names);
    let texts: Vec<Option<String>> =
        as_source_owner(collection.owner, || read(&sql, &[], |row| column(&row, 1)));
    let text = texts.into_iter().flatten().collect::<Vec<_>>().join("\n");
    if !embedder.has_words_for(&text)? {
        let texts = format!("texts of collection \"{}\"", collection.name);
        let detail = "Its vocabulary has no words for them. Searches rely on words, and answers are not judged.";
        warn(embedder.name(), &texts, detail);
    }
    Ok(())
}

/// Says in the log, or to the session, that a model hardly knows the language of `texts`.
pub fn warn(model: &str, texts: &str, detail: &str) {
    let message = format!("model \"{model}\" hardly knows the language of {texts}");
    let code = PgSqlErrorCode::ERRCODE_WARNING;
    ErrorReport::new(code, message, function_name!())
        .set_detail(detail)
        .set_hint("Use a multilingual model, such as multilingual-e5-small.")
        .report(PgLogLevel::WARNING);
}
