//! What happens to texts that are longer than a model's window.
use crate::sys::guc::model::{Truncation, truncation};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::model::{Embedding, LocalModel, Purpose};
use rag::{Error, Result};

/// Does what `rag_pg.truncation` says when texts did not fit the window.
pub fn report_truncated(
    model: &LocalModel,
    purpose: Purpose,
    embeddings: &[Embedding],
) -> Result<()> {
    let mut cut = embeddings.iter().filter(|embedding| embedding.truncated);
    let (Some(first), more) = (cut.next(), cut.count()) else { return Ok(()) };
    let (name, room) = (&model.manifest().name, model.room(purpose)?);
    let what = match (embeddings.len(), more) {
        (1, _) => format!("a text of {} tokens is", first.token_count),
        (all, 0) => format!("1 of {all} texts is"),
        (all, more) => format!("{} of {all} texts are", more + 1),
    };
    let message = format!("{what} longer than the {room} tokens that model \"{name}\" takes");
    let hint = "rag_chunk cuts texts to fit.";
    match truncation() {
        Truncation::Silent => {}
        Truncation::Error => return Err(Error::too_large(message).with_hint(hint)),
        Truncation::Notice => {
            let code = PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
            ErrorReport::new(code, format!("{message}; the rest was left out"), function_name!())
                .set_hint(hint)
                .report(PgLogLevel::NOTICE);
        }
    }
    Ok(())
}
