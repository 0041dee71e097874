//! Calibration of generations whose queue is empty: what the signals of each are worth, without judged questions.
//!
//! Sentences of sampled chunks are asked as questions, each of a collection in which its own chunk lacks the sentence, and so are medleys of their
//! words (`crates/rag/src/search/calibration.rs`). Searches use the result from the moment it is stored; before, they use the defaults.
use crate::catalog::language;
use crate::catalog::model::embedder;
use crate::catalog::target::{Target, warn_about};
use crate::ingest::pipeline::embed::keep_learnt;
use crate::ingest::pipeline::rate_limit;
use crate::models::call_log;
use crate::models::embedder::Embedder;
use crate::search::candidate::{ChunkCandidate, key_of};
use crate::search::engine::request::Request;
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::engine::{candidates, milliseconds};
use crate::search::options::Options;
use crate::search::question::Question;
use crate::search::resolve::Resolved;
use crate::sys::datum::text::StoredText;
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::{required, row};
use crate::sys::spi::{execute, fill, query};
use crate::sys::text_search::Config;
use crate::sys::time_limit;
use crate::sys::transaction::Host;
use crate::sys::workers::yield_database::{is_database_requested, yield_database};
use pgrx::JsonB;
use pgrx::spi::SpiHeapTupleData;
use rag::model::{Detail, Embedder as _, Embedding, Purpose};
use rag::search::Syntax;
use rag::search::calibration::{
    Calibration, Candidate, MIN_CHUNKS, Trial, cloze, medley, questions,
};
use rag::text::script::Writing;
use rag::{Error, Result};
use std::ops::Range;
use std::time::Instant;

/// Questions that one call of the model and one transaction take.
const BATCH: usize = 16;
/// Seconds for which a claim keeps others from a generation.
const CLAIM: f64 = 600.0;
/// Candidates of a question.
const CANDIDATES: usize = 50;

/// Calibrates a generation that has grown; false: another process is at it. After a failure, which is logged, searches go on with what was known
/// before, and another try follows when the claim has ended.
pub fn run(host: &Host, generation: i32) -> std::result::Result<bool, Failed> {
    match calibrate(host, generation) {
        Err(failed) if !failed.is_cancel() => warn_about(host, generation, &failed).map(|()| true),
        other => other,
    }
}

/// A question that is asked.
struct Asked {
    text: String,
    /// The chunk whose sentence it is; none of a medley.
    source: Option<Source>,
}

/// A chunk whose sentence is asked.
struct Source {
    chunk_id: i64,
    key: Vec<String>,
    content: String,
    sentence: Range<usize>,
}

impl Source {
    fn read(row: &SpiHeapTupleData<'_>, keys: usize) -> Option<Self> {
        let (chunk_id, content): (i64, StoredText) = (required(row, 1), required(row, 2));
        let content = content.into_string();
        let sentence = cloze(&content, chunk_id)?;
        Some(Self { chunk_id, key: key_of(row, 3, keys), content, sentence })
    }

    fn sentence(&self) -> &str {
        &self.content[self.sentence.clone()]
    }

    /// Share of the sentence in the text.
    fn share(&self) -> f64 {
        self.sentence.len() as f64 / self.content.len() as f64
    }

    /// The text without the sentence.
    fn rest(&self) -> String {
        format!("{} {}", &self.content[..self.sentence.start], &self.content[self.sentence.end..])
    }

    /// Which tokens of the text are not of the sentence.
    fn kept(&self, model: &Embedder) -> Result<Vec<bool>> {
        let Embedder::Local(model) = model else { return Ok(Vec::new()) };
        let offsets = model.tokenizer().tokens(&self.content)?.offsets;
        Ok(offsets.into_iter().map(|(from, _)| !self.sentence.contains(&(from as usize))).collect())
    }
}

fn calibrate(host: &Host, generation: i32) -> std::result::Result<bool, Failed> {
    let Some(claim) = host.transaction(|| Ok(claim(generation)))? else { return Ok(false) };
    let started = Instant::now();
    let asked = host.transaction(|| sample(host, generation, claim.chunks))?;
    let model = host.transaction(|| {
        let Target { collection, generation, .. } = Target::reload(generation)?;
        let mut model = embedder(&collection, &generation)?;
        if let Embedder::Remote(remote) = &mut model {
            remote.set_role(collection.owner);
        }
        Ok(model)
    })?;
    let mut trials = Vec::with_capacity(asked.len());
    for batch in asked.chunks(BATCH) {
        let embeddings = embed(host, &model, batch)?;
        trials.extend(host.transaction(|| search(generation, &model, batch, embeddings))?);
    }
    let calibration = Calibration::of(&trials);
    host.transaction(|| {
        let target = Target::reload(generation)?;
        if claim.is_first {
            warn_if_deaf(&target, &calibration);
        }
        let stored = JsonB(serde_json::to_value(&calibration).unwrap_or_default());
        let args = [generation.into(), stored.into(), claim.chunks.into()];
        as_extension_owner(|| execute(statement!("maintain/calibrate_store"), &args));
        pgrx::debug1!(
            "rag_pg: calibrated collection \"{}\" with {} questions in {:.0} ms",
            target.collection.name,
            trials.len(),
            milliseconds(started.elapsed())
        );
        Ok(true)
    })
}

row! {
    /// A generation that this process is to calibrate.
    struct Claim { chunks: i64, is_first: bool }
}

/// `None`: it has not grown enough, or another process is at it.
fn claim(generation: i32) -> Option<Claim> {
    let args = [generation.into(), CLAIM.into(), MIN_CHUNKS.into()];
    as_extension_owner(|| {
        query(statement!("maintain/calibrate_claim"), &args, |row| Claim::read(&row)).pop()
    })
}

/// The questions to ask.
fn sample(host: &Host, generation: i32, chunks: i64) -> Result<Vec<Asked>> {
    let target = Target::reload(generation)?;
    let collection = &target.collection;
    host.show(Some(&format!("rag_pg: calibrating \"{}\"", collection.name)));
    let keys = collection.stored_keys("c.");
    let sql = fill(
        statement!("maintain/calibrate_sample"),
        &[("chunks", &target.chunks), ("keys", &keys)],
    );
    let count = questions(usize::try_from(chunks).unwrap_or_default());
    let read = |row: SpiHeapTupleData<'_>| Source::read(&row, collection.keys.len());
    let sources: Vec<Source> = as_source_owner(collection.owner, || {
        time_limit::query(&sql, &[(count as i64).into()], read).into_iter().flatten().collect()
    });
    let sentences: Vec<&str> = sources.iter().map(Source::sentence).collect();
    let medleys: Vec<Asked> = (0..sources.len())
        .map(|position| Asked { text: medley(&sentences, position), source: None })
        .collect();
    let clozes = sources
        .into_iter()
        .map(|source| Asked { text: source.sentence().to_owned(), source: Some(source) });
    Ok(clozes.chain(medleys).collect())
}

/// Embeds questions as ingestion embeds texts: at its rate, outside of transactions, with every call of a remote model recorded.
fn embed(
    host: &Host,
    model: &Embedder,
    asked: &[Asked],
) -> std::result::Result<Vec<Embedding>, Failed> {
    let is_yielding = || host.is_worker() && is_database_requested();
    let texts: Vec<&str> = asked.iter().map(|one| one.text.as_str()).collect();
    let counts: Result<Vec<usize>> = texts.iter().map(|text| model.counter().count(text)).collect();
    rate_limit::wait(host, counts?.iter().sum(), model.window(), || {
        if is_yielding() { yield_database(host) } else { Ok(()) }
    })?;
    let detail = if model.is_local() { Detail::Tokens } else { Detail::Vector };
    let mut go_on = || {
        checkpoint()?;
        if is_yielding() { Err(Error::cancelled()) } else { Ok(()) }
    };
    let embedded = host.outside(|| model.embed(&texts, Purpose::Query, detail, &mut go_on));
    if let Embedder::Remote(remote) = model {
        call_log::store(host, &remote.take_records());
        keep_learnt(host, remote);
    }
    if is_yielding() { yield_database(host) } else { embedded }
}

/// Asks questions as the source's owner.
fn search(
    generation: i32,
    model: &Embedder,
    asked: &[Asked],
    embeddings: Vec<Embedding>,
) -> Result<Vec<Trial>> {
    let target = Target::reload(generation)?;
    let config = Config::named(&target.collection.text_search_config);
    as_source_owner(target.collection.owner, || {
        let trials = asked.iter().zip(embeddings).map(|(asked, embedding)| {
            checkpoint()?;
            trial(&target, config, model, asked, embedding)
        });
        trials.collect()
    })
}

fn trial(
    target: &Target,
    config: Config,
    model: &Embedder,
    asked: &Asked,
    embedding: Embedding,
) -> Result<Trial> {
    let resolved = Resolved::of(target.collection.clone(), target.generation.clone())?;
    // Candidates do not depend on what was found before.
    let options = Options { dense_weight: Some(1.0), ..Options::top(CANDIDATES) };
    let question = Question::read(&asked.text, Syntax::Words, config);
    let request = Request::of(resolved, &options, question, Some(embedding))?;
    let (mut found, statistics) = time_limit::within(|| candidates(&request))?;
    if let Some(source) = &asked.source {
        leave_out(&mut found, source, &request, statistics.as_ref(), config, model)?;
    }
    request.rank(&mut found, &request.weights)?;
    let is_own = |one: &ChunkCandidate| {
        asked.source.as_ref().is_some_and(|source| source.chunk_id == one.chunk_id)
    };
    Ok(Trial {
        writing: Writing::of(&asked.text),
        has_words: model.has_words_for(&asked.text)?,
        is_cloze: asked.source.is_some(),
        own: found.iter().position(is_own),
        candidates: found
            .iter()
            .map(|one| Candidate { ranking: one.ranking(), signals: one.signals() })
            .collect(),
    })
}

/// Takes the sentence out of its own chunk, and the other chunks of its document, which may repeat it, out of the candidates.
fn leave_out(
    found: &mut Vec<ChunkCandidate>,
    source: &Source,
    request: &Request,
    statistics: Option<&TermStatistics>,
    config: Config,
    model: &Embedder,
) -> Result<()> {
    found.retain(|one| one.chunk_id == source.chunk_id || one.key != source.key);
    let Some(own) = found.iter_mut().find(|one| one.chunk_id == source.chunk_id) else {
        return Ok(());
    };
    own.leave_out(source.share(), &source.kept(model)?, request.resolved.generation.dimensions);
    if let Some(statistics) = statistics {
        let weights = statistics.weights(&request.question.lexemes);
        let text = format!("{}\n{}", own.section.as_deref().unwrap_or_default(), source.rest());
        let bm25 = config.with_document(&text, |vector| weights.score(vector.lexemes()));
        own.set_bm25(bm25, &weights);
    }
    Ok(())
}

/// Says in the log, or to the session, which texts the model hardly reads.
fn warn_if_deaf(target: &Target, calibration: &Calibration) {
    let scripts: Vec<&str> = calibration.deaf().map(Writing::name).collect();
    if !scripts.is_empty() {
        let (name, scripts) = (&target.collection.name, scripts.join(", "));
        let texts = format!("texts of collection \"{name}\" in {scripts} script");
        let detail = "Words alone find more of them than it does. Searches rely on words.";
        language::warn(&target.generation.model, &texts, detail);
    }
}
