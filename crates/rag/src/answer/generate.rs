//! Answers that a generator writes, of which only what can be checked is kept.
//!
//! The model copies quotes first and then writes its answer. Each quote is looked up in the passages; a claim is kept if its
//! quotes stand there and support it ([`super::support`]), else it is replaced by its quote where that says something about the
//! question, or dropped. So whatever a passage talks the model into, what is cited as found was found.
use super::Status;
use super::build::AnswerBuilder;
use super::claims::Reading;
use super::prompt::{self, Prompt};
use super::reply;
use crate::model::Checkpoint;
use crate::model::generator::{Conversation, Generator, Turn};
use crate::{Error, Result};

pub use super::written::{CheckedClaim, GeneratedAnswer, Usage, VerifiedBy, VerifiedQuote};

/// Why sentences of the passages should answer instead of a model: it failed, or nothing holds of what it said. `None` where it answered, says
/// that there is no answer, or the failure is not its own.
pub fn needs_fallback(written: &Result<GeneratedAnswer>) -> Option<String> {
    match written {
        Ok(written) => {
            let is_void = written.status == Status::NoAnswer && !written.claims.is_empty();
            is_void.then(|| "the passages support no claim of the model".to_owned())
        }
        Err(error) => {
            let is_models =
                ["08", "28", "38", "F0"].iter().any(|class| error.sqlstate().starts_with(class))
                    || ["53400", "42704"].contains(&error.sqlstate());
            let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
            is_models.then(|| format!("{}{detail}", error.message()))
        }
    }
}

/// Has `generator` answer `question` from `passages`, the best first. `instructions` are added to the
/// rules. Without any text in the passages there is no answer, and no call.
///
/// An error when the context has no room for the question, and when the model does not keep to the
/// form of an answer even after it was asked once more.
pub fn generate(
    generator: &dyn Generator,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
    checkpoint: Checkpoint<'_>,
) -> Result<GeneratedAnswer> {
    generate_counted(generator, question, passages, instructions, &mut Usage::default(), checkpoint)
}

/// The same; `usage` has what it took also where it failed.
pub fn generate_counted(
    generator: &dyn Generator,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
    usage: &mut Usage,
    checkpoint: Checkpoint<'_>,
) -> Result<GeneratedAnswer> {
    if passages.iter().all(|passage| passage.trim().is_empty()) {
        return Ok(AnswerBuilder::default().finish(usage.clone()));
    }
    let key = prompt::nonce()?;
    let Prompt { system, user, included } =
        prompt::build(generator, question, passages, instructions, &key)?;
    usage.passages = included.len();
    let user = Turn { is_model: false, text: user };
    let mut conversation = Conversation { system, turns: vec![user] };
    let mut answer = AnswerBuilder::new(question, &key, included, generator.is_small());
    for is_repair in [false, true] {
        let generated = generator.generate(&conversation, checkpoint)?;
        let end = TurnEnd { is_cut: generated.is_cut, ended: generated.ended.clone(), is_repair };
        let text = usage.count_turn(generated);
        let Reading { claims, defect } = reply::read(&text, true);
        for claim in claims {
            checkpoint()?;
            answer.add(claim, passages);
        }
        match judge(&answer, defect, end)? {
            None => break,
            Some(why) => prompt::ask_again(&mut conversation, text, &why),
        }
    }
    Ok(answer.finish(usage.clone()))
}

/// How a turn of the model ended.
pub(super) struct TurnEnd {
    pub is_cut: bool,
    pub ended: Option<Error>,
    /// It was asked once more already.
    pub is_repair: bool,
}

/// After a turn of the model: what is wrong with its form, if it is to be asked again, which it is once. An error where nothing can be
/// used.
pub(super) fn judge(
    answer: &AnswerBuilder,
    defect: Option<String>,
    end: TurnEnd,
) -> Result<Option<String>> {
    if answer.has_answer() {
        return Ok(None);
    }
    if let Some(why) = end.ended {
        return Err(why);
    }
    // The same would be cut again.
    if end.is_cut {
        return Err(Error::model("the model's answer is longer than it may be")
            .with_hint("Create the model with more max_output_tokens."));
    }
    match defect {
        Some(why) if end.is_repair => {
            Err(Error::malformed("the model did not answer in the form it was told to")
                .with_detail(why)
                .with_hint("Try again, or use a model that follows instructions better."))
        }
        defect => Ok(defect),
    }
}

/// Positions of the passages that fit the context of `generator` beside the rest of the prompt; errors as those of [`generate`].
pub fn passages_that_fit(
    generator: &dyn Generator,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
) -> Result<Vec<usize>> {
    let key = "0".repeat(prompt::NONCE_LENGTH);
    Ok(prompt::build(generator, question, passages, instructions, &key)?.included)
}
