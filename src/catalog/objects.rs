//! Creates a collection's catalog rows, tables, policies, view and triggers.
pub mod drop;
pub mod triggers;
use crate::catalog::collection::key::KeyColumn;
use crate::catalog::collection::tables::lock_exclusively;
use crate::catalog::collection::{
    Build, Collection, ContentKind, Generation, STORAGE_FORMAT, State, key,
};
use crate::catalog::lexical;
use crate::catalog::manifest;
use crate::catalog::objects::triggers::{
    create_triggers, drop_leftover_triggers, record_partitions, set_replication_triggers,
};
use crate::catalog::vector_index;
use crate::sys::cursor::Snapshot;
use crate::sys::dependency;
use crate::sys::names::{extension_schema, relation_sql, schema_of};
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{execute, fill, query, read, required};
use crate::sys::workers::admission;
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::{quote_identifier, quote_literal};
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::search::analysis;
use rag::{Error, Result};

/// Longest identifier PostgreSQL keeps, in bytes.
const NAME_BYTES: usize = 63;

/// The arguments of `rag_create_collection`, checked and with defaults filled in.
#[derive(Debug)]
pub struct NewCollection {
    pub name: String,
    pub source: Source,
    /// Column with the text.
    pub content: String,
    /// What it holds.
    pub kind: ContentKind,
    /// Column whose text heads every heading path.
    pub title: Option<String>,
    /// Columns with names and MIME types of files.
    pub file_name: Option<String>,
    pub media_type: Option<String>,
    /// Whether the text of files is kept.
    pub keeps_text: bool,
    /// Whether the text of files that show pictures of it is recognized.
    pub with_ocr: bool,
    /// Text search configuration, qualified and quoted.
    pub text_search_config: String,
    /// Whether changes that logical replication applies are noticed too.
    pub is_replicated: bool,
    /// How the first generation is built.
    pub build: Build,
}

/// A table that can be a source.
#[derive(Debug)]
pub struct Source {
    /// The table.
    pub table: Oid,
    /// Its qualified name, quoted.
    pub sql: String,
    /// Its schema, quoted.
    pub schema_sql: String,
    /// Its owner.
    pub owner: Oid,
    /// Whether it has partitions.
    pub is_partitioned: bool,
    /// Whether it is a partition: a statement on the partitioned table fires none of its statement triggers.
    pub is_leaf: bool,
    /// Whether a BEFORE trigger of the user's may change a row.
    pub has_before_update: bool,
}

impl Source {
    /// The source of a collection that exists.
    pub fn of(collection: &Collection) -> Self {
        Self::load(collection.source).expect("a loaded collection has its source").0
    }

    /// Describes `table`, or returns why it cannot be a source, or not for this caller.
    pub fn describe(table: Oid) -> Result<Self> {
        let (source, refusal) = Self::load(table).ok_or_else(|| {
            Error::undefined("the source does not exist").with_hint("It was dropped meanwhile.")
        })?;
        match refusal {
            None => source.require_not_of_citus().map(|()| source),
            Some(error) => Err(error),
        }
    }

    /// Citus keeps the rows of its tables in shards: other tables, on nodes of its choice, which the table's own
    /// statement triggers do not see. Its catalog lists them all.
    fn require_not_of_citus(&self) -> Result<()> {
        let is_installed =
            "SELECT 1 WHERE pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL";
        let is_listed = "SELECT 1 FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid OPERATOR(pg_catalog.=) $1";
        let is_of_citus = !read(is_installed, &[], |_| ()).is_empty()
            && as_extension_owner(|| !read(is_listed, &[self.table.into()], |_| ()).is_empty());
        if !is_of_citus {
            return Ok(());
        }
        let message = format!("table {} is managed by Citus", self.sql);
        let detail = "Citus keeps its rows in shards, where no trigger would notice them.";
        let hint = "Use a table that Citus does not manage, or spread the rows over servers by partitions of postgres_fdw.";
        Err(Error::unsupported(message).with_detail(detail).with_hint(hint))
    }

    /// The table, and why it cannot be a source, or not for this caller.
    fn load(table: Oid) -> Option<(Self, Option<Error>)> {
        let sql = statement!("catalog/describe_source");
        let mut rows = read(sql, &[table.into()], |row| SourceTableRow::read(&row));
        let row = rows.pop()?;
        let refusal = row.refusal();
        let source = Self {
            table,
            sql: row.sql,
            schema_sql: row.schema_sql,
            owner: row.owner,
            is_partitioned: row.kind == "p",
            is_leaf: row.is_partition && row.kind == "r",
            has_before_update: row.has_before_update,
        };
        Some((source, refusal))
    }

    /// Conflicts with every writer and every other `CREATE TRIGGER`, not with readers: no row can slip
    /// between the comparison of the whole source and the triggers.
    pub fn lock(&self) {
        let sql = fill("LOCK TABLE {source} IN SHARE ROW EXCLUSIVE MODE", &[("source", &self.sql)]);
        execute(&sql, &[]);
    }

    /// Checks that `column` exists and holds text.
    pub fn require_text(&self, column: &str) -> Result<()> {
        let hint = "Use a text column, or add a generated column that casts it to text.";
        match self.column(column, false)? {
            (_, Some(ContentKind::Text)) => Ok(()),
            (type_sql, _) => Err(self.wrong_type(column, &type_sql, "text", hint)),
        }
    }

    /// What `column` holds: texts, files or, where that is asked for, numbers of large objects.
    pub fn content_kind(&self, column: &str, with_large_objects: bool) -> Result<ContentKind> {
        let (type_sql, kind) = self.column(column, with_large_objects)?;
        match kind {
            Some(ContentKind::Text | ContentKind::File) if with_large_objects => {
                let hint = "Leave large_objects out: files in a bytea column need no option.";
                Err(self.wrong_type(column, &type_sql, "oid", hint))
            }
            Some(kind) => Ok(kind),
            None => {
                let hint = "Use a column of type text or bytea, or of oid with large_objects => true, or add a generated column that casts it to text.";
                Err(self.wrong_type(column, &type_sql, "text or bytea", hint))
            }
        }
    }

    /// The type of a column, and what it holds as far as that can be indexed.
    fn column(
        &self,
        column: &str,
        with_large_objects: bool,
    ) -> Result<(String, Option<ContentKind>)> {
        let sql = statement!("catalog/describe_column");
        let args = [self.table.into(), column.into(), with_large_objects.into()];
        let rows = read(sql, &args, |row| {
            let kinds = [ContentKind::Text, ContentKind::File, ContentKind::LargeObject];
            let kind = (2..).zip(kinds).find(|(position, _)| required::<bool>(&row, *position));
            (required::<String>(&row, 1), kind.map(|(_, kind)| kind), required::<bool>(&row, 5))
        });
        let (type_sql, kind, is_virtual) = rows.into_iter().next().ok_or_else(|| {
            Error::undefined_column(format!(
                "column \"{column}\" of table {} does not exist",
                self.sql
            ))
            .with_hint("Name the column that holds the documents' text.")
        })?;
        if is_virtual {
            return Err(Error::wrong_object(format!(
                "column \"{column}\" of table {} is a virtual generated column",
                self.sql
            ))
            .with_detail("It is computed when it is read, so that no trigger sees it change.")
            .with_hint("Generate it with STORED."));
        }
        Ok((type_sql, kind))
    }

    fn wrong_type(&self, column: &str, type_sql: &str, wanted: &str, hint: &str) -> Error {
        Error::wrong_type(format!(
            "column \"{column}\" of table {} is of type {type_sql}, not {wanted}",
            self.sql
        ))
        .with_hint(hint)
    }
}

row! {
    struct SourceTableRow {
        sql: String,
        schema_sql: String,
        owner: Oid,
        kind: String,
        is_temporary: bool,
        is_partition: bool,
        is_beside_foreign: bool,
        is_inherited: bool,
        is_of_system: bool,
        has_before_update: bool,
        may_own: bool,
        owner_may_create: bool,
    }
}

impl SourceTableRow {
    fn refusal(&self) -> Option<Error> {
        let sql = &self.sql;
        let unusable =
            || Error::wrong_object(format!("{sql} cannot be the source of a collection"));
        let refusal = if self.is_partition && !(self.is_beside_foreign && self.kind == "r") {
            unusable().with_hint("Name the partitioned table itself: its partitions come with it.")
        } else if !matches!(self.kind.as_str(), "r" | "p") || self.is_of_system {
            unusable().with_hint(
                "A source is a table or partitioned table of a user, with a primary key.",
            )
        } else if self.is_temporary {
            Error::wrong_object("a temporary table cannot be the source of a collection")
                .with_hint("A source is read by background workers: use a permanent table.")
        } else if self.is_inherited {
            // A statement on the parent fires no statement trigger of the child, nor the other way round.
            unusable()
                .with_detail("The table inherits from another or is inherited from.")
                .with_hint("Use a partitioned table, or one that takes no part in inheritance.")
        } else if !self.may_own {
            Error::forbidden(format!("must be owner of table {sql}"))
                .with_hint("Ask the table's owner, or a superuser, to create the collection.")
        } else if !self.owner_may_create {
            let schema = &self.schema_sql;
            Error::forbidden(format!("the owner of {sql} may not create tables in its schema"))
                .with_hint(format!("GRANT CREATE ON SCHEMA {schema} to the table's owner."))
        } else {
            return None;
        };
        Some(refusal)
    }
}

/// Creates the collection with all its objects. Returns its id.
pub fn create(plan: &NewCollection) -> Result<i32> {
    let keys = key::primary_key(plan.source.table);
    if keys.is_empty() {
        return Err(Error::invalid_table(format!("table {} has no primary key", plan.source.sql))
            .with_hint("Add a primary key: it is how chunks find their document."));
    }
    let key_names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
    let id = insert_collection(plan, key_names)?;
    let collection = Collection::by_id(id)?.expect("the row was just inserted");
    let generation = create_generation(&collection, &plan.build, State::Active, false)?;
    drop_leftover_triggers(&collection);
    create_triggers(&collection, &plan.source);
    as_source_owner(collection.owner, || create_view(&collection, &generation))?;
    record_partitions(&collection, &plan.source);
    if plan.is_replicated {
        set_replication_triggers(&collection, &plan.source);
    }
    record_view(&collection);
    Ok(id)
}

/// Stores in the catalog which relation is the collection's view.
pub fn record_view(collection: &Collection) {
    let view = collection.view_sql.as_str();
    let sql = "UPDATE rag.collection SET view = $2::regclass \
               WHERE collection_id = $1 AND view IS DISTINCT FROM $2::regclass";
    as_extension_owner(|| execute(sql, &[collection.id.into(), view.into()]));
    bind(collection.id);
}

/// A schema for the tables of generations, quoted; an error where the owner of the source may not create any there.
pub fn chunk_schema(name: &str, owner: Oid) -> Result<String> {
    let sql = statement!("catalog/chunk_schema");
    let found = read(sql, &[name.into(), owner.into()], |row| {
        (required::<String>(&row, 1), required::<bool>(&row, 2), required::<bool>(&row, 3))
    });
    let Some((sql, is_of_system, may_create)) = found.into_iter().next() else {
        return Err(Error::undefined_schema(format!("schema \"{name}\" does not exist"))
            .with_hint("Create it, and GRANT CREATE, USAGE on it to the table's owner."));
    };
    if is_of_system {
        return Err(Error::wrong_object(format!("chunks cannot be kept in schema {sql}"))
            .with_hint("Name a schema of your own, such as rag_chunks."));
    }
    if !may_create {
        return Err(Error::forbidden(format!(
            "the table's owner may not create tables in schema {sql}"
        ))
        .with_hint(format!("GRANT CREATE, USAGE ON SCHEMA {sql} to the table's owner.")));
    }
    Ok(sql)
}

/// Moves the tables of all generations into a schema, quoted.
pub fn move_tables(collection: &Collection, schema_sql: &str) {
    let tables = collection.generations().into_iter().flat_map(|generation| generation.tables());
    for table in tables.filter(|table| schema_of(*table).is_some_and(|its| its != schema_sql)) {
        lock_exclusively(table);
        let names = [("table", relation_sql(table)), ("schema", schema_sql.to_owned())];
        let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
        let sql = fill("ALTER TABLE {table} SET SCHEMA {schema}", &names);
        as_source_owner(collection.owner, || execute(&sql, &[]));
    }
    warn_of_publications(collection, schema_sql);
}

/// Gives the collection's objects to the owner of its source.
pub fn follow_owner(id: i32) {
    let sql = statement!("catalog/follow_owner");
    as_extension_owner(|| {
        let foreign = query(sql, &[id.into()], |row| {
            (required::<Oid>(&row, 1), required::<String>(&row, 2), required::<String>(&row, 3))
        });
        for (relation, kind, owner) in foreign {
            lock_exclusively(relation);
            let kind = if kind == "v" { "VIEW" } else { "TABLE" };
            let names = [("kind", kind), ("name", &relation_sql(relation)), ("owner", &owner)];
            execute(&fill("ALTER {kind} {name} OWNER TO {owner}", &names), &[]);
        }
    });
}

/// An error where a collection, distributed or not, has this name. Until the transaction ends, no other one gets it.
pub fn require_free_name(name: &str) -> Result<()> {
    admission::collection_name(name).lock_exclusive_for_transaction();
    let _latest = Snapshot::latest();
    let taken = "SELECT 1 FROM rag.collection WHERE name OPERATOR(pg_catalog.=) $1 UNION ALL \
                 SELECT 1 FROM rag.distributed_collection d JOIN pg_catalog.pg_class r ON r.oid = d.source \
                  WHERE d.name OPERATOR(pg_catalog.=) $1";
    if read(taken, &[name.into()], |_| ()).is_empty() {
        return Ok(());
    }
    Err(Error::duplicate(format!("collection \"{name}\" already exists"))
        .with_hint("Choose another name, or drop it with rag_drop_collection()."))
}

fn insert_collection(plan: &NewCollection, keys: Vec<String>) -> Result<i32> {
    let name = plan.name.as_str();
    require_free_name(name)?;
    let sql = statement!("catalog/insert_collection");
    let args = [
        name.into(),
        plan.source.table.into(),
        plan.content.as_str().into(),
        plan.title.as_deref().into(),
        keys.into(),
        plan.text_search_config.as_str().into(),
        plan.is_replicated.into(),
        plan.kind.name().into(),
        plan.file_name.as_deref().into(),
        plan.media_type.as_deref().into(),
        plan.keeps_text.into(),
        plan.with_ocr.into(),
    ];
    let ids = as_extension_owner(|| query(sql, &args, |row| required::<i32>(&row, 1)));
    Ok(ids[0])
}

/// Creates a generation's tables as the source's owner, and its catalog row. `switches`: searches switch
/// to it once it is complete.
pub fn create_generation(
    collection: &Collection,
    build: &Build,
    state: State,
    switches: bool,
) -> Result<Generation> {
    let (id, names) = free_names(collection, &build.schema_sql);
    as_source_owner(collection.owner, || {
        names.create(collection, build);
        lexical::prepare(build.lexical, id, &names.chunks);
    });
    let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let table = |name: &str| -> Oid {
        read("SELECT $1::pg_catalog.regclass::oid", &[name.into()], |row| required(&row, 1))[0]
    };
    let args = [
        id.into(),
        collection.id.into(),
        state.name().into(),
        build.model.as_str().into(),
        build.fingerprint.as_str().into(),
        size(build.dimensions).into(),
        size(build.max_tokens).into(),
        size(build.overlap_tokens).into(),
        build.format.as_str().into(),
        build.index_method.as_str().into(),
        table(&names.documents).into(),
        table(&names.chunks).into(),
        build.token_bits.then(|| table(&names.bits)).into(),
        switches.into(),
        build.lexical.name().into(),
        STORAGE_FORMAT.into(),
        table(&names.segments).into(),
        table(&names.postings).into(),
        analysis::VERSION.into(),
    ];
    vector_index::announce(&build.index_method, build.dimensions);
    warn_of_publications(collection, &build.schema_sql);
    as_extension_owner(|| {
        execute(statement!("catalog/insert_generation"), &args);
        let progress = "INSERT INTO rag.progress (generation_id) VALUES ($1)";
        execute(progress, &[id.into()]);
    });
    let generation = Generation::by_id(id)
        .ok_or_else(|| Error::not_ready("the new generation is not visible"))?;
    manifest::write(&collection.name, collection.owner, &generation);
    bind(collection.id);
    Ok(generation)
}

/// Has the collection's relations go with its source when that is dropped, without CASCADE, as its indexes do.
pub fn bind(collection: i32) {
    let sql = statement!("catalog/unbound_relations");
    let unbound = as_extension_owner(|| {
        query(sql, &[collection.into()], |row| (required::<Oid>(&row, 1), required::<Oid>(&row, 2)))
    });
    for (relation, source) in unbound {
        dependency::add_to_table(relation, source);
    }
}

/// Warns where a publication includes the tables that were just created: its subscribers have no such tables, and stop.
fn warn_of_publications(collection: &Collection, schema: &str) {
    let sql = statement!("catalog/publications_of_schema");
    let names: Vec<String> = read(sql, &[schema.into()], |row| required(&row, 1));
    if names.is_empty() {
        return;
    }
    let names = names.join(", ");
    let message = format!("tables of collection \"{}\" are published", collection.name);
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, message, function_name!())
        .set_detail(format!(
            "Of these publications subscribers stop at the first chunk, unless they have tables of these names: {names}."
        ))
        .set_hint(format!(
            "Publish the tables that are meant by name, with ALTER PUBLICATION ... SET TABLE, instead of all tables of the database or of schema {schema}."
        ))
        .report(PgLogLevel::WARNING);
}

/// The next generation id whose table names are free: a schema-only dump restores tables of generations that the
/// catalog does not list.
fn free_names(collection: &Collection, schema_sql: &str) -> (i32, TableNames) {
    let sequence = "SELECT pg_catalog.nextval('rag.generation_id')::int";
    let taken = "SELECT 1 FROM pg_catalog.unnest($1::text[]) AS t (name) \
                 WHERE pg_catalog.to_regclass(t.name) IS NOT NULL";
    loop {
        let id: i32 = as_extension_owner(|| query(sequence, &[], |row| required(&row, 1)))[0];
        let names = TableNames::new(collection, schema_sql, id);
        let all = names.all().map(str::to_owned);
        if read(taken, &[all.to_vec().into()], |_| ()).is_empty() {
            return (id, names);
        }
    }
}

/// Qualified, quoted names of a generation's tables.
struct TableNames {
    documents: String,
    chunks: String,
    bits: String,
    segments: String,
    postings: String,
}

impl TableNames {
    fn new(collection: &Collection, schema_sql: &str, generation: i32) -> Self {
        let name = |suffix: &str| {
            let suffix = format!("_g{generation}_{suffix}");
            let name = clip(&collection.name, NAME_BYTES - suffix.len()).to_owned() + &suffix;
            format!("{schema_sql}.{}", quote_identifier(name))
        };
        Self {
            documents: name("documents"),
            chunks: name("chunks"),
            bits: name("token_bits"),
            segments: name("segments"),
            postings: name("postings"),
        }
    }

    fn all(&self) -> [&str; 5] {
        [&self.documents, &self.chunks, &self.bits, &self.segments, &self.postings]
    }

    fn create(&self, collection: &Collection, build: &Build) {
        let definitions: Vec<String> = collection
            .keys
            .iter()
            .map(|key| {
                let collation =
                    key.collation_sql.as_ref().map(|c| format!(" COLLATE {c}")).unwrap_or_default();
                format!("{} {}{collation} NOT NULL", key.stored_name(), key.type_sql)
            })
            .collect();
        let comment =
            |what: &str| quote_literal(format!("rag_pg: {what} of collection {}", collection.name));
        let main = |key: &KeyColumn| {
            let name = key.stored_name();
            key.may_move().then(|| format!("ALTER COLUMN {name} SET STORAGE MAIN, "))
        };
        let keys_main: Vec<String> = collection.keys.iter().filter_map(main).collect();
        let names = [
            ("documents", self.documents.as_str()),
            ("chunks", &self.chunks),
            ("bits", &self.bits),
            ("segments", &self.segments),
            ("postings", &self.postings),
            ("key_definitions", &definitions.join(",\n    ")),
            ("keys", &collection.stored_keys("")),
            ("vector", &vector_index::stored(build.dimensions, &extension_schema("vector"))),
            ("vector_storage", vector_storage(build.dimensions)),
            ("keys_main", &keys_main.concat()),
            ("file_statistics", if collection.is_of_files() { FILE_STATISTICS } else { "" }),
            ("file_columns", if collection.is_of_files() { FILE_COLUMNS } else { "" }),
            ("documents_visible", &collection.source_visible(&self.documents)),
            ("chunks_visible", &collection.source_visible(&self.chunks)),
            ("chunks_comment", &comment("chunks")),
            ("bits_comment", &comment("token bits")),
            ("segments_comment", &comment("segments of the inverted file")),
            ("postings_comment", &comment("posting lists")),
        ];
        execute(&fill(statement!("catalog/create_generation"), &names), &[]);
        execute(&fill(statement!("catalog/create_policies"), &names), &[]);
        execute(&fill(statement!("catalog/create_inverted_policies"), &names), &[]);
        if build.token_bits {
            execute(&fill(statement!("catalog/create_bits"), &names), &[]);
            execute(&fill(statement!("catalog/create_bits_policy"), &names), &[]);
        }
    }
}

/// Columns of documents rows of files: what chunks have besides their page, the text and the hash of the file it was extracted
/// of, where its pages begin, and what is known of the file.
const FILE_COLUMNS: &str = "places jsonb,
    text        text,
    text_hash   bytea,
    parts       jsonb,
    file        jsonb,
    ";

/// As for the other columns with what documents say.
const FILE_STATISTICS: &str = "ALTER COLUMN places SET STATISTICS 0, ALTER COLUMN text SET STATISTICS 0, \
    ALTER COLUMN text_hash SET STATISTICS 0, ALTER COLUMN parts SET STATISTICS 0, ALTER COLUMN file SET STATISTICS 0, ";

/// Inline while at least two chunks of some 200 tokens fit into a page with their lexemes.
fn vector_storage(dimensions: usize) -> &'static str {
    if dimensions <= 1_024 { "PLAIN" } else { "EXTERNAL" }
}

/// Points the collection's view at a generation. A relation that only has the view's name is left as it is. Runs as the
/// source's owner.
pub fn create_view(collection: &Collection, generation: &Generation) -> Result<()> {
    const COLUMNS: [&str; 8] = [
        "chunk_id",
        "ordinal",
        "content",
        "token_count",
        "char_start",
        "char_end",
        "metadata",
        "embedding",
    ];
    let replaced = collection.view.or_else(|| leftover_view(collection));
    if replaced.is_none() {
        require_free(collection)?;
    }
    // A view that is replaced keeps the names of its columns.
    let columns = statement!("catalog/load_view_columns");
    let present: Vec<String> = read(columns, &[replaced.into()], |row| required(&row, 1));
    let view_keys: Vec<String> = collection
        .keys
        .iter()
        .enumerate()
        .map(|(position, key)| {
            let is_taken = COLUMNS.contains(&key.name.as_str());
            let name = if is_taken { format!("{}_key", key.name) } else { key.name.clone() };
            let name = present.get(position).unwrap_or(&name);
            format!("d.{} AS {}", key.stored_name(), quote_identifier(name))
        })
        .collect();
    let names = [
        ("or_replace", replaced.map_or("", |_| "OR REPLACE").to_owned()),
        ("view", collection.view_sql.clone()),
        ("view_keys", view_keys.join(", ")),
        ("vector", extension_schema("vector")),
        ("documents", relation_sql(generation.documents)),
        ("chunks", relation_sql(generation.chunks)),
        ("visible", collection.source_visible("d")),
        (
            "place",
            if collection.is_of_files() {
                format!(
                    " OPERATOR(pg_catalog.||) COALESCE({}, '{{}}'::pg_catalog.jsonb) OPERATOR(pg_catalog.-) 'breaks'::pg_catalog.text",
                    collection.place_of("p.ordinal")
                )
            } else {
                String::new()
            },
        ),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    execute(&fill(statement!("catalog/create_view"), &names), &[]);
    Ok(())
}

fn leftover_view(collection: &Collection) -> Option<Oid> {
    let sql = statement!("catalog/leftover_view");
    let keys = collection.keys.len() as i32;
    let args = [collection.view_sql.as_str().into(), collection.source.into(), keys.into()];
    read(sql, &args, |row| required::<Oid>(&row, 1)).pop()
}

fn require_free(collection: &Collection) -> Result<()> {
    let view = collection.view_sql.as_str();
    let taken = "SELECT 1 WHERE pg_catalog.to_regclass($1) IS NOT NULL";
    if read(taken, &[view.into()], |_| ()).is_empty() {
        return Ok(());
    }
    Err(Error::duplicate(format!("relation {view} already exists"))
        .with_detail(format!("The view of collection \"{}\" would have its name.", collection.name))
        .with_hint("Rename the relation, or choose another name for the collection."))
}

/// The longest start of `name` that fits into `bytes`.
fn clip(name: &str, bytes: usize) -> &str {
    &name[..name.floor_char_boundary(bytes)]
}
