//! Search over a collection: one statement gathers and fuses, then late interaction orders.
//!
//! Everything runs with the caller's rights and in the caller's snapshot.
mod comparable;
mod filter;
mod frequency;
mod hits;
mod pgvector;
mod question;
mod settings;
mod statement;
mod text_search;
mod tsvector;

use super::collection::{Collection, Generation};
use super::spi::{column, required};
use super::{plan, rights};
use crate::model::{Detail, Embedding};
use crate::rerank::{TokenBits, max_sim, order, standard_scores};
use crate::search::filter::Filter as Tree;
use crate::search::legs::{Request, Term};
use crate::search::matching::matching;
use crate::{Error, Result};
use filter::Filter;
use pgrx::spi::SpiHeapTupleData;
use pgvector::PgVector;
use question::Question;
use statement::{Names, Shape, statement};
use text_search::{Config, tsquery};

pgrx::extension_sql_file!("../../sql/search.sql", name = "search", requires = ["catalog"]);

/// Chunks the lexical leg is meant to look at, and the most it does when estimates are off. About 2 µs each.
const MATCHES: usize = 1_500;
const MOST_MATCHES: usize = 4_000;

/// How to search.
#[derive(Debug, Clone)]
pub struct Options {
    /// Chunks to return.
    pub top_k: usize,
    /// Which documents and chunks it is about.
    pub filter: Option<Tree>,
    /// Whether late interaction orders the candidates.
    pub rerank: bool,
    /// Ranks of each leg that count.
    pub depth: usize,
    /// Candidates to rerank.
    pub candidates: usize,
    /// Weight of the dense leg; 0 leaves it out.
    pub dense_weight: f64,
    /// Weight of the lexical leg; 0 leaves it out.
    pub lexical_weight: f64,
    /// Weight of MaxSim beside the legs' own scores.
    pub rerank_weight: f64,
}

/// A chunk that was found.
#[derive(Debug)]
pub struct Found {
    /// Its number.
    pub chunk_id: i64,
    /// Its document's key, column by column, as text.
    pub key: Vec<String>,
    /// Its place in the document, from 1.
    pub ordinal: i32,
    /// Its text.
    pub content: String,
    /// Heading path.
    pub section: Option<String>,
    /// Page it starts on, from 1.
    pub page: Option<i32>,
    /// Where it starts in the document, in characters.
    pub char_start: i32,
    /// Where it ends.
    pub char_end: i32,
    /// Rank by distance, from 1.
    pub dense_rank: Option<i32>,
    /// Rank by BM25, from 1.
    pub lexical_rank: Option<i32>,
    /// Reciprocal rank fusion of both.
    pub rrf: f64,
    /// BM25.
    pub bm25: f64,
    /// Cosine of question and chunk.
    pub similarity: Option<f64>,
    /// Mean over the question's tokens of the best cosine with a token of the chunk.
    pub max_sim: Option<f64>,
    /// What the order is by: standard scores added up when reranked, else reciprocal ranks.
    pub score: f64,
    /// Tokens of the heading path that come first in `bits`.
    pub heading_tokens: usize,
    /// Signs of the token vectors, where the collection keeps them.
    pub bits: Option<Vec<u8>>,
}

/// What a search found, and the question as the model sees it.
pub struct Outcome {
    /// The collection searched.
    pub collection: Collection,
    /// The generation searched.
    pub generation: Generation,
    /// Best first.
    pub found: Vec<Found>,
    /// The question's embedding, with token vectors when reranked; `None` when no part of it needed
    /// or allowed one.
    pub question: Option<Embedding>,
}

/// Searches `collection` for `text`.
pub fn search(collection: &str, text: &str, options: &Options) -> Result<Outcome> {
    let collection = Collection::by_name(collection)?;
    let generation = collection.active_generation()?;
    require_rights(&collection, &generation)?;
    let pgvector = PgVector::find()?;
    let names = names(&generation, &pgvector)?;
    let filter = Filter::compile(options.filter.as_ref(), &collection, &names.documents)?;
    let reranks = options.rerank && generation.bits.is_some();
    let wants_vector = reranks || options.dense_weight > 0.0;
    let question = Question::read(text, Config::named(&collection.text_search_config));
    let embedding = if wants_vector {
        let detail = if reranks { Detail::Tokens } else { Detail::Vector };
        question.embed(&generation, detail)?
    } else {
        None
    };
    let found = Search {
        collection: &collection,
        generation: &generation,
        pgvector,
        names,
        filter,
        options,
        question: &question,
        embedding: embedding.as_ref(),
    }
    .run()?;
    Ok(Outcome { collection, generation, found, question: embedding })
}

/// SELECT on the chunks is what `rag_grant` gives; on the source, what the source's owner gives.
fn require_rights(collection: &Collection, generation: &Generation) -> Result<()> {
    let name = &collection.name;
    if !rights::may_select(generation.chunks) {
        return Err(Error::forbidden(format!("permission denied for collection \"{name}\""))
            .with_hint(format!(
                "Its owner can let a role search it: SELECT rag_grant({}, 'role');",
                pgrx::spi::quote_literal(name)
            )));
    }
    let keys = collection.keys.iter().map(|key| key.name.as_str());
    let needed: Vec<&str> = keys.chain([collection.content.as_str()]).collect();
    if !rights::may_select_columns(collection.source, &needed) {
        let source = &collection.source_sql;
        let columns: Vec<String> = needed.iter().map(pgrx::spi::quote_identifier).collect();
        return Err(Error::forbidden(format!("permission denied for table {source}"))
            .with_detail("A role sees those chunks of a collection whose source rows it may read.")
            .with_hint(format!("GRANT SELECT ({}) ON {source} TO the role.", columns.join(", "))));
    }
    Ok(())
}

fn names(generation: &Generation, pgvector: &PgVector) -> Result<Names> {
    let mut tables = generation.tables_sql()?.into_iter();
    let mut next = || tables.next().unwrap_or_default();
    Ok(Names {
        vector: pgvector.schema_sql.clone(),
        documents: next(),
        chunks: next(),
        bits: generation.bits.map(|_| next()),
    })
}

struct Search<'a> {
    collection: &'a Collection,
    generation: &'a Generation,
    pgvector: PgVector,
    names: Names,
    filter: Filter,
    options: &'a Options,
    question: &'a Question,
    embedding: Option<&'a Embedding>,
}

impl Search<'_> {
    fn run(&self) -> Result<Vec<Found>> {
        let mut found = self.gather(self.question.required.as_deref());
        // A phrase that no chunk has as it stands should not hide those that come close.
        if found.is_empty() && self.question.has_phrases {
            found = self.gather(self.question.excluded.as_deref());
        }
        self.rank(&mut found)?;
        found.truncate(self.options.top_k);
        Ok(found)
    }

    /// The candidates in order of reciprocal rank fusion; every one matches `required`.
    fn gather(&self, required: Option<&str>) -> Vec<Found> {
        let options = self.options;
        let reranks = options.rerank;
        let terms = self.terms();
        let documents = self.documents();
        let matched = if options.lexical_weight > 0.0 {
            matching(&terms, documents.unwrap_or(0.0), MATCHES as f64)
        } else {
            None
        };
        let is_dense = options.dense_weight > 0.0 && self.embedding.is_some();
        let shape = Shape {
            dense: if is_dense { options.depth } else { 0 },
            lexical: if matched.is_some() { MOST_MATCHES } else { 0 },
            is_required: required.is_some(),
            with_bits: reranks && self.embedding.is_some_and(|e| e.tokens.is_some()),
        };
        if shape.dense == 0 && shape.lexical == 0 {
            return Vec::new();
        }
        let matched = matched.map(|matched| match required {
            Some(required) => format!("({matched}) & {required}"),
            None => matched,
        });
        let request = Request {
            terms,
            documents,
            depth: options.depth,
            limit: if reranks { options.candidates } else { options.top_k },
            dense_weight: options.dense_weight,
            lexical_weight: options.lexical_weight,
        };
        let sql = statement(self.collection, &self.names, &self.filter, shape);
        let vector = self.pgvector.argument(self.embedding.map(|e| e.vector.as_slice()));
        let mut arguments =
            vec![vector, request.pack().into(), tsquery(matched.as_deref()), tsquery(required)];
        arguments.extend(self.filter.arguments());
        let _settings = settings::Scope::for_search(options.depth);
        let keys = self.collection.keys.len();
        plan::read(&sql, &arguments, |row| found(row, keys))
    }

    /// The question's lexemes with what statistics tell of them, if they may tell.
    fn terms(&self) -> Vec<Term> {
        let lexemes: Vec<&str> = self.question.lexemes.iter().map(String::as_str).collect();
        let shares = if self.may_use_statistics() {
            frequency::shares(self.generation.chunks, c"lexemes", &lexemes)
        } else {
            vec![None; lexemes.len()]
        };
        let term = |(lexeme, frequency): (&str, Option<f32>)| Term {
            lexeme: lexeme.to_owned(),
            frequency,
        };
        crate::search::legs::most_telling(lexemes.into_iter().zip(shares).map(term).collect())
    }

    fn documents(&self) -> Option<f64> {
        self.may_use_statistics().then(|| frequency::rows(self.generation.chunks)).flatten()
    }

    /// Statistics count rows that others may not see: only for callers whom no policy holds back.
    fn may_use_statistics(&self) -> bool {
        !rights::row_security_applies(self.collection.source)
    }

    /// Orders the candidates: the standard scores of MaxSim, cosine and BM25 added up, or reciprocal ranks.
    fn rank(&self, found: &mut Vec<Found>) -> Result<()> {
        if !self.options.rerank || found.is_empty() {
            return Ok(());
        }
        self.set_max_sim(found)?;
        let scores_of = |score: &dyn Fn(&Found) -> Option<f64>| {
            let values: Vec<f64> = found.iter().map(|f| score(f).unwrap_or(f64::NAN)).collect();
            standard_scores(&values)
        };
        let options = self.options;
        let legs = [
            (options.rerank_weight, scores_of(&|f| f.max_sim)),
            (options.dense_weight, scores_of(&|f| f.similarity)),
            (options.lexical_weight, scores_of(&|f| Some(f.bm25))),
        ];
        for (position, found) in found.iter_mut().enumerate() {
            found.score = legs.iter().map(|(weight, scores)| weight * scores[position]).sum();
        }
        let scores: Vec<f64> = found.iter().map(|f| f.score).collect();
        let order = order(&scores, |position| found[position].chunk_id);
        let mut slots: Vec<Option<Found>> = found.drain(..).map(Some).collect();
        found.extend(order.into_iter().filter_map(|position| slots[position].take()));
        Ok(())
    }

    fn set_max_sim(&self, found: &mut [Found]) -> Result<()> {
        let Some(tokens) = self.embedding.and_then(|e| e.tokens.as_ref()) else { return Ok(()) };
        let with_bits: Vec<usize> = (0..found.len()).filter(|&i| found[i].bits.is_some()).collect();
        let bits = with_bits.iter().map(|&i| {
            TokenBits::from_bytes(
                self.generation.dimensions,
                found[i].bits.as_deref().unwrap_or_default(),
            )
        });
        let bits: Vec<TokenBits<'_>> = bits.collect::<Result<_>>()?;
        let scores = max_sim(tokens, &bits, &mut super::interrupt::checkpoint)?;
        for (i, score) in with_bits.into_iter().zip(scores) {
            found[i].max_sim = Some(f64::from(score));
        }
        Ok(())
    }
}

/// Reads a row of `sql/run/search.sql`, whose last `keys` columns are the document's key.
fn found(row: &SpiHeapTupleData<'_>, keys: usize) -> Found {
    let rrf = required(row, 4);
    Found {
        chunk_id: required(row, 1),
        dense_rank: column(row, 2),
        lexical_rank: column(row, 3),
        rrf,
        bm25: required(row, 5),
        similarity: column(row, 6),
        content: required(row, 7),
        section: column(row, 8),
        ordinal: column(row, 9).unwrap_or_default(),
        char_start: column(row, 10).unwrap_or_default(),
        char_end: column(row, 11).unwrap_or_default(),
        page: column(row, 12),
        heading_tokens: column::<i32>(row, 13)
            .map_or(0, |n| usize::try_from(n).unwrap_or_default()),
        bits: column(row, 14),
        key: (0..keys).map(|i| column(row, 15 + i).unwrap_or_default()).collect(),
        max_sim: None,
        score: rrf,
    }
}
