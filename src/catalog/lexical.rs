//! Another extension's BM25 index in place of the built-in one: created, found, checked and queried.
//!
//! To add an engine, add a variant of [`Engine`], a statement that creates its index and one that queries it. Every
//! engine indexes the same column, chunks' lexemes as plain words, so that none parses a user's text.
//!
//! Some engines keep part of an index in memory and lose it when the server ends: an index that was not checked since the
//! server started is neither queried nor written to.

use crate::catalog::collection::{Collection, Generation};
use crate::catalog::target::Target;
use crate::sys::datum::tsvector::TsVector;
use crate::sys::guc::scope::Scope;
use crate::sys::privileges::row_security_applies;
use crate::sys::process::is_standby;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{execute, fill, query, read, required};
use crate::sys::{names, plan, started};
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;
use rag::search::lexical::{Engine, words};
use rag::{Error, Result};

#[pg_extern(sql = r"
CREATE FUNCTION rag.lexeme_words(lexemes tsvector) RETURNS text
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.lexeme_words IS 'lexemes as words of ASCII letters and digits, each as often as it occurs: what another extension''s index reads';
", requires = ["catalog"])]
#[allow(clippy::needless_pass_by_value)] // how arguments come
fn lexeme_words(lexemes: TsVector<'_>) -> String {
    words(lexemes.lexemes())
}

row! {
    /// An engine's extension as installed in this database, seen for one table of chunks.
    struct Installed {
        schema_sql: String,
        version: String,
        /// Whether the source's owner may use the extension's schema.
        may_use: bool,
        /// Its index over the chunks.
        index: Option<Oid>,
    }
}

impl Installed {
    fn find(engine: Engine, owner: Oid, chunks: Oid) -> Option<Self> {
        let sql = statement!("catalog/lexical_find");
        let args = [engine.name().into(), owner.into(), chunks.into()];
        plan::read_latest(sql, &args, Self::read).pop()
    }
}

/// The engine of this name, for tables of `owner` in `schema_sql`; or why it cannot be had.
pub fn engine(name: &str, owner: Oid, schema_sql: &str) -> Result<Engine> {
    let engine = Engine::named(name).ok_or_else(|| {
        Error::invalid_argument(format!("unrecognized lexical engine \"{name}\""))
            .with_hint(format!("Use one of: {}.", Engine::ALL.map(Engine::name).join(", ")))
    })?;
    if !engine.is_foreign() {
        return Ok(engine);
    }
    let builtin = "or leave lexical => 'builtin', which needs no other extension";
    let Some(installed) = Installed::find(engine, owner, Oid::INVALID) else {
        return Err(Error::undefined(format!("extension \"{name}\" is not installed"))
            .with_hint(format!("CREATE EXTENSION {name}, {builtin}.")));
    };
    let least: Vec<String> = engine.least_version().iter().map(u32::to_string).collect();
    let (version, least) = (&installed.version, least.join("."));
    if !engine.accepts(version) {
        return Err(Error::unsupported(format!("extension \"{name}\" {version} is too old"))
            .with_hint(format!("ALTER EXTENSION {name} UPDATE to {least} or newer, {builtin}.")));
    }
    let schema = &installed.schema_sql;
    if !installed.may_use {
        return Err(Error::forbidden(format!(
            "the source's owner may not use schema {schema} of extension \"{name}\""
        ))
        .with_hint(format!("GRANT USAGE ON SCHEMA {schema} to the table's owner, {builtin}.")));
    }
    // It looks its index up by an unquoted name at every insert.
    if engine == Engine::PgTextsearch && schema_sql.starts_with('"') {
        return Err(Error::unsupported(format!(
            "\"{name}\" cannot index tables in schema {schema_sql}, whose name needs quotes"
        ))
        .with_hint(format!("Rename the schema, {builtin}.")));
    }
    Ok(engine)
}

/// Adds an engine's column and index to a new chunk table. Runs as the source's owner.
pub fn prepare(engine: Engine, generation: i32, chunks_sql: &str) {
    if engine.is_foreign() {
        let column = statement!("catalog/lexical_column");
        execute(&fill(column, &[("chunks", chunks_sql)]), &[]);
        create_index(engine, generation, chunks_sql);
    }
}

/// Creates an engine's index. Runs as the source's owner.
fn create_index(engine: Engine, generation: i32, chunks_sql: &str) {
    let template = match engine {
        Engine::Builtin => return,
        Engine::PgTextsearch => statement!("catalog/lexical_index_pg_textsearch"),
        Engine::PgSearch => statement!("catalog/lexical_index_pg_search"),
    };
    let names = [("index", index_name(generation, chunks_sql)), ("chunks", chunks_sql.to_owned())];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    execute(&fill(template, &names), &[]);
}

/// Whether a generation's index was created or found complete since the server started.
fn is_checked(generation: &Generation) -> bool {
    started::is_before(generation.lexical_checked_at)
}

/// A name that needs no quotes, see above, and that nothing else has in the schema of the chunks.
fn index_name(generation: i32, chunks_sql: &str) -> String {
    let taken = "SELECT 1 FROM pg_catalog.pg_class c \
                  WHERE c.relname = $1::name AND c.relnamespace = \
                        (SELECT t.relnamespace FROM pg_catalog.pg_class t WHERE t.oid = $2::pg_catalog.regclass)";
    let mut name = format!("rag_pg_g{generation}_words");
    while !read(taken, &[name.as_str().into(), chunks_sql.into()], |_| ()).is_empty() {
        name.push('_');
    }
    name
}

/// What a search can use of its generation's engine.
pub enum Access {
    /// The generation uses the built-in engine.
    Builtin,
    /// The built-in engine replaces it, for this reason.
    Instead(&'static str),
    /// Another extension's index.
    Index(LexicalIndex),
}

/// Another extension's index over a generation's chunks.
pub struct LexicalIndex {
    engine: Engine,
    oid: Oid,
    schema_sql: String,
    owner: Oid,
}

impl Access {
    /// Whether the caller's search may ask the generation's engine. Its scores tell of chunks that policies
    /// hide from the caller, and on a standby it may missing what only the primary's memory has.
    pub fn of(collection: &Collection, generation: &Generation) -> Self {
        if !generation.lexical.is_foreign() {
            return Self::Builtin;
        }
        if row_security_applies(collection.source) {
            return Self::Instead("row-level security applies to the caller");
        }
        if is_standby() {
            return Self::Instead("this is a standby");
        }
        match LexicalIndex::find(collection, generation) {
            Ok(index) => Self::Index(index),
            Err(reason) => Self::Instead(reason),
        }
    }
}

impl LexicalIndex {
    fn find(collection: &Collection, generation: &Generation) -> Result<Self, &'static str> {
        let engine = generation.lexical;
        let found = Installed::find(engine, collection.owner, generation.chunks);
        let found = found.ok_or("the extension is not installed")?;
        if !engine.accepts(&found.version) {
            return Err("the extension is too old");
        }
        if !found.may_use {
            return Err("the source's owner may not use the extension's schema");
        }
        let oid = found.index.ok_or("its index is missing, which rag_verify can create")?;
        if !is_checked(generation) {
            return Err(
                "its index was not checked since the server started, which rag_verify does",
            );
        }
        Ok(Self { engine, oid, schema_sql: found.schema_sql, owner: collection.owner })
    }

    /// The top `most` chunks for these lexemes. Does not check whether the caller may see them.
    pub fn best<'a>(
        &self,
        lexemes: impl Iterator<Item = &'a str>,
        most: usize,
        chunks_sql: &str,
    ) -> Vec<i64> {
        let template = match self.engine {
            Engine::Builtin => return Vec::new(),
            Engine::PgTextsearch => statement!("catalog/lexical_best_pg_textsearch"),
            Engine::PgSearch => statement!("catalog/lexical_best_pg_search"),
        };
        let question = words(lexemes.map(|lexeme| (lexeme.as_bytes(), 1)));
        let names = [
            ("schema", self.schema_sql.clone()),
            ("index", quote_literal(self.name_sql())),
            ("chunks", chunks_sql.to_owned()),
            ("count", most.to_string()),
        ];
        let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
        let sql = fill(template, &names);
        as_source_owner(self.owner, || {
            let _settings = in_index_order(&self.schema_sql);
            plan::read_by_set_path(&sql, &[question.into()], |row| required::<i64>(row, 1))
        })
    }

    /// What finds chunks here, for `rag_explain`.
    pub fn described(&self) -> String {
        format!("bm25 index {} of {}", self.name_sql(), self.engine.name())
    }

    fn name_sql(&self) -> String {
        names::relation(self.oid).unwrap_or_default()
    }
}

/// Settings that make the planner read the other extension's index in the index's own order. That extension's planner hook
/// may look functions up by the search path; no policy is evaluated here.
fn in_index_order(schema_sql: &str) -> Scope {
    let mut scope = Scope::begin();
    scope.set(c"search_path", &format!("pg_catalog, {schema_sql}, pg_temp"));
    scope.set(c"enable_seqscan", "off");
    scope.set(c"enable_sort", "off");
    scope
}

/// Lexemes of a chunk that it is looked for by.
const MOST_LEXEMES: usize = 64;
/// A chunk must be among this many results of a query by its own lexemes.
const AMONG: usize = 100;

/// What a generation's engine needs and does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The extension, in a version that is supported.
    Extension,
    /// The index.
    Index,
    /// Chunks that the index should hold and does not.
    Chunks,
    /// A check since the server started, and nothing else.
    Check,
}

/// Checks the index of a generation's engine. `repairs`: creates an index that is missing or incomplete.
pub fn verify(target: &Target, repairs: bool) -> Option<Missing> {
    let (missing, installed) = check(target)?;
    if repairs && installed.is_some() {
        if missing != Missing::Check {
            drop_index(target);
            let generation = &target.generation;
            as_source_owner(target.collection.owner, || {
                create_index(generation.lexical, generation.id, &target.chunks);
            });
        }
        record_check(target);
    }
    Some(missing)
}

/// Drops an index that lost chunks, before more are inserted: its extension may crash on such an insert. Searches then use
/// the built-in index.
pub fn before_write(target: &Target) {
    if !target.generation.lexical.is_foreign() || is_checked(&target.generation) {
        return;
    }
    match check(target) {
        Some((Missing::Chunks, _)) => {
            let (name, engine) = (&target.collection.name, target.generation.lexical.name());
            pgrx::warning!(
                "rag_pg: the index of {engine} for collection \"{name}\" was incomplete and is dropped"
            );
            drop_index(target);
        }
        Some((Missing::Check, _)) => record_check(target),
        _ => {}
    }
}

fn check(target: &Target) -> Option<(Missing, Option<Installed>)> {
    let Target { collection, generation, .. } = target;
    let engine = generation.lexical;
    if !engine.is_foreign() {
        return None;
    }
    let found = Installed::find(engine, collection.owner, generation.chunks);
    let Some(found) = found.filter(|f| f.may_use && engine.accepts(&f.version)) else {
        return Some((Missing::Extension, None));
    };
    let Some(oid) = found.index else { return Some((Missing::Index, Some(found))) };
    let schema_sql = found.schema_sql.clone();
    let index = LexicalIndex { engine, oid, schema_sql, owner: collection.owner };
    if !is_complete(&index, target) {
        return Some((Missing::Chunks, Some(found)));
    }
    (!is_checked(generation)).then_some((Missing::Check, Some(found)))
}

/// Whether the index finds the oldest and the newest chunks by their own lexemes. An index loses what it had in memory,
/// which are the newest chunks.
fn is_complete(index: &LexicalIndex, target: &Target) -> bool {
    let names = [("chunks", target.chunks.as_str())];
    let sql = fill(statement!("catalog/lexical_sample"), &names);
    let sample = as_source_owner(target.collection.owner, || {
        query(&sql, &[], |row| (required::<i64>(&row, 1), required::<Vec<String>>(&row, 2)))
    });
    sample.iter().filter(|(_, lexemes)| !lexemes.is_empty()).all(|(chunk_id, lexemes)| {
        let lexemes = lexemes.iter().map(String::as_str).take(MOST_LEXEMES);
        let best = index.best(lexemes, AMONG, &target.chunks);
        // Where many chunks are alike, others may rank as high.
        best.len() == AMONG || best.contains(chunk_id)
    })
}

/// Drops the engine's indexes over the chunks, invalid ones too.
fn drop_index(target: &Target) {
    let sql = statement!("catalog/lexical_indexes");
    let args = [target.generation.lexical.name().into(), target.generation.chunks.into()];
    let indexes = read(sql, &args, |row| names::relation_sql(required::<Oid>(&row, 1)));
    as_source_owner(target.collection.owner, || {
        for index in &indexes {
            execute(&fill("DROP INDEX {index}", &[("index", index)]), &[]);
        }
    });
}

fn record_check(target: &Target) {
    let sql = statement!("catalog/lexical_checked");
    as_extension_owner(|| execute(sql, &[target.generation.id.into()]));
}
