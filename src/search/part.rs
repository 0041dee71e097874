//! A collection as a part of one that is searched from another server. The role that the other server asks as gets nothing that
//! `rag_search` and `rag_explain` would not give it here.
use crate::catalog::collection::{Collection, Generation, State};
use crate::catalog::distributed::ask::set_answering;
use crate::catalog::generation::switch;
use crate::catalog::lexical::Access;
use crate::search::engine::request::Request;
use crate::search::engine::shard as steps;
use crate::search::engine::strategy::Phrases;
use crate::search::loading::Loading;
use crate::search::options::{MAX_CANDIDATES, Options};
use crate::search::question::Question;
use crate::search::resolve::resolve_in;
use crate::sys::guc::scope::Scope;
use crate::sys::names::extension_schema;
use crate::sys::plan;
use crate::sys::rows::required;
use pgrx::JsonB;
use rag::search::analysis;
use rag::search::filter::Filter;
use rag::search::shard::{
    Asked, Described, Description, PROTOCOL, PartStatistics, Request as Asking, Statistics, Step,
    vectors_from_bytes,
};
use rag::{Error, Result};
use serde_json::Value;

/// Most neighbours on each side, as `rag_search` has it.
const MAX_NEIGHBOURS: usize = 100;

/// Has requests about parts of this server's own answered without a connection.
pub fn init() {
    set_answering(|request, vectors| Ok(answer(request, vectors)?.to_string()));
}

/// Answers a request.
pub fn answer(request: &str, vectors: &[u8]) -> Result<Value> {
    let request: Asking = serde_json::from_str(request).map_err(|_| other_version())?;
    if request.protocol != PROTOCOL {
        return Err(other_version());
    }
    let part = Part { request: &request, vectors };
    match &request.step {
        Step::Describe => json(&part.describe()?),
        Step::Status => part.status(),
        Step::Statistics(asked) => json(&part.statistics(asked)?),
        Step::Candidates { asked, statistics, are_phrases_required, depth, wanted } => {
            let phrases = if *are_phrases_required { Phrases::Required } else { Phrases::AsWords };
            let (depth, wanted) = ((*depth).min(MAX_CANDIDATES), (*wanted).min(MAX_CANDIDATES));
            let found = part.with(asked, Some(statistics), |request| {
                steps::legs(request, phrases, depth, wanted)
            });
            json(&found?)
        }
        Step::Fetch { asked, statistics, chunks } => {
            let chunks = at_most(chunks, MAX_CANDIDATES);
            json(&part.with(asked, Some(statistics), |request| steps::fetch(request, chunks))?)
        }
        Step::Around { asked, chunks, expand, with_bits } => {
            let chunks = at_most(chunks, MAX_CANDIDATES);
            let expand = (*expand).min(MAX_NEIGHBOURS);
            json(&part.with(asked, None, |request| {
                Ok(steps::around(request, &chunks, expand, *with_bits))
            })?)
        }
    }
}

fn at_most(chunks: &[i64], most: usize) -> Vec<i64> {
    chunks.iter().copied().take(most).collect()
}

fn json(answer: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(answer).map_err(|error| {
        Error::malformed("could not write the answer").with_detail(error.to_string())
    })
}

fn other_version() -> Error {
    Error::not_ready("the server that asks has another version of rag_pg")
        .with_hint("Bring both servers to the same version: ALTER EXTENSION rag_pg UPDATE;")
}

struct Part<'a> {
    request: &'a Asking,
    vectors: &'a [u8],
}

impl Part<'_> {
    /// Name of the collection over the table that is asked for.
    fn collection(&self) -> Option<String> {
        let Asking { source, content, collection, .. } = self.request;
        let sql = statement!("search/part");
        let arguments =
            [source.as_str().into(), content.as_str().into(), collection.as_str().into()];
        plan::read_latest(sql, &arguments, |row| required::<String>(row, 1)).pop()
    }

    fn describe(&self) -> Result<Description> {
        let mut description = Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema: extension_schema("rag_pg"),
            collection: None,
            building: None,
            lacks: None,
            standby: None,
        };
        let Some(name) = self.collection() else { return Ok(description) };
        let collection = Collection::by_name(&name)?;
        description.collection = Some(described(&collection, collection.active_generation()?));
        if collection.require_owner("switch it").is_ok() {
            let building = collection.generation_in(State::Building);
            let standby = collection.generation_in(State::Standby);
            description.lacks = building.as_ref().and_then(switch::shortfall);
            description.building = building.map(|one| described(&collection, one));
            description.standby = standby.map(|one| described(&collection, one));
        }
        Ok(description)
    }

    /// The row of `rag.status` as the caller sees it.
    fn status(&self) -> Result<Value> {
        let name = self.collection().ok_or_else(|| self.missing())?;
        let sql = statement!("search/part_status");
        let rows = plan::read_latest(sql, &[name.as_str().into()], |row| required::<JsonB>(row, 1));
        let row = rows.into_iter().next().map(|JsonB(row)| row);
        row.ok_or_else(|| {
            Error::forbidden(format!("permission denied for collection \"{name}\""))
                .with_hint("Its owner can let a role search it: SELECT rag_grant(...);")
        })
    }

    fn missing(&self) -> Error {
        let Asking { source, content, .. } = self.request;
        Error::undefined(format!("table {source} has no collection over column \"{content}\""))
            .with_hint("SELECT rag_create_collection(...) on this server.")
    }

    fn statistics(&self, asked: &Asked) -> Result<PartStatistics> {
        self.with(asked, None, |request| {
            Ok(PartStatistics {
                statistics: steps::statistics(request)?,
                calibration: request.resolved.generation.calibration.clone(),
                loading: request.loading.as_ref().map(Loading::message),
            })
        })
    }

    /// Runs a step with the search as it is asked for.
    fn with<T>(
        &self,
        asked: &Asked,
        statistics: Option<&Statistics>,
        step: impl FnOnce(&Request) -> Result<T>,
    ) -> Result<T> {
        let name = self.collection().ok_or_else(|| self.missing())?;
        let resolved = resolve_in(&name, &asked.space)?;
        let embedding = vectors_from_bytes(self.vectors)?;
        let dimensions = resolved.generation.dimensions;
        if embedding.as_ref().is_some_and(|one| one.vector.len() != dimensions) {
            return Err(other_version());
        }
        let mut scope = Scope::begin();
        let zone = std::ffi::CString::new(asked.time_zone.as_str()).unwrap_or_default();
        scope.set_to(c"timezone", &zone);
        let mut request = Request::of(resolved, &options(asked)?, question(asked), embedding)?;
        if statistics.is_some_and(|given| given.frequencies.len() != asked.lexemes.len()) {
            return Err(other_version());
        }
        request.statistics = statistics.cloned();
        // Scores of another extension's index compare with none of other servers.
        request.foreign_index = Access::Builtin;
        step(&request)
    }
}

fn described(collection: &Collection, generation: Generation) -> Described {
    Described {
        name: collection.name.clone(),
        model: generation.model,
        fingerprint: generation.fingerprint,
        dimensions: generation.dimensions,
        has_bits: generation.bits.is_some(),
        max_tokens: generation.max_tokens,
        overlap_tokens: generation.overlap_tokens,
        format: generation.format,
        text_search_config: collection.text_search_config.clone(),
        analysis: analysis::VERSION,
        keys: collection.keys.iter().map(|key| key.name.clone()).collect(),
        title: collection.title.clone(),
        kind: collection.kind.name().to_owned(),
    }
}

fn options(asked: &Asked) -> Result<Options> {
    let usual = Options::top(1);
    Ok(Options {
        filter: asked.filter.as_ref().map(Filter::parse).transpose()?,
        filter_text: asked.filter.clone(),
        rerank: asked.rerank,
        dense_weight: Some(asked.dense_weight),
        lexical_weight: asked.lexical_weight,
        ..usual
    })
}

fn question(asked: &Asked) -> Question {
    Question {
        text: String::new(),
        lexemes: asked.lexemes.clone(),
        required: asked.required.clone(),
        excluded: asked.excluded.clone(),
        has_phrases: asked.has_phrases,
        phrase_lexemes: asked.phrase_lexemes.iter().cloned().collect(),
    }
}
