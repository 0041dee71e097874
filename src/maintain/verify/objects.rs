//! The objects of a collection: owners, triggers, policies, indexes, the view, rights.
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::lexical;
use crate::catalog::lexical::Missing;
use crate::catalog::objects as create;
use crate::catalog::objects::Source;
use crate::catalog::objects::drop::drop_policies;
use crate::catalog::objects::{drop, triggers};
use crate::catalog::target::Target;
use crate::maintain::verify::Finding;
use crate::sys::names;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{execute, fill, read, read_written, required};
use pgrx::pg_sys::Oid;
use pgrx::spi::quote_identifier;
use rag::Result;

/// A table of the source whose triggers do not record every change.
pub const TRIGGER: &str = "table without triggers";

/// Checks every object, in an order in which a repair finds what it depends on.
pub fn verify(collection: &Collection, targets: &[Target], repairs: bool) -> Result<Vec<Finding>> {
    let mut findings = vec![owners(collection, repairs), tables(collection, repairs)];
    let policies = targets.iter().map(|target| policies(target, repairs)).sum();
    let indexes: i64 = targets.iter().map(|target| indexes(target, repairs)).sum();
    let view = view(collection, repairs)?;
    let mut grants = 0;
    for target in targets {
        grants += self::grants(collection, &target.generation, repairs)?;
    }
    let missing: Vec<Missing> =
        targets.iter().filter_map(|target| lexical::verify(target, repairs)).collect();
    let lacking = |one| missing.iter().filter(|other| **other == one).count() as i64;
    let created = repairs.then_some("created");
    findings.extend([
        Finding::new("policy missing", policies, created),
        Finding::new("index missing", indexes + lacking(Missing::Index), created),
        Finding::new("search index incomplete", lacking(Missing::Chunks), created),
        Finding::new(
            "search index unchecked",
            lacking(Missing::Check),
            repairs.then_some("checked"),
        ),
        Finding::new("search extension missing", lacking(Missing::Extension), None),
        Finding::new("view missing", view, created),
        Finding::new("right missing", grants, repairs.then_some("granted")),
    ]);
    if repairs {
        // A dump has nothing of it.
        create::bind(collection.id);
    }
    Ok(findings)
}

fn owners(collection: &Collection, repairs: bool) -> Finding {
    let sql = statement!("catalog/follow_owner");
    let foreign = as_extension_owner(|| read(sql, &[collection.id.into()], |_| ()).len());
    if repairs && foreign > 0 {
        create::follow_owner(collection.id);
    }
    Finding::new("object of another owner", foreign as i64, repairs.then_some("given to the owner"))
}

fn tables(collection: &Collection, repairs: bool) -> Finding {
    let source = Source::of(collection);
    let sql = triggers::with_own_triggers(statement!("maintain/verify_triggers"));
    let args = [
        collection.name.as_str().into(),
        collection.source.into(),
        collection.id.into(),
        source.has_before_update.into(),
        collection.is_replicated.into(),
    ];
    let wrong = as_extension_owner(|| {
        read(&sql, &args, |row| (required::<Oid>(&row, 1), required::<bool>(&row, 2)))
    });
    if repairs {
        for (table, is_foreign) in &wrong {
            let table_sql = names::relation_sql(*table);
            triggers::as_table_owner(*table, collection.owner, || {
                drop::drop_triggers(&collection.name, *table);
                if !is_foreign {
                    triggers::create_table_triggers(collection, &source, &table_sql);
                }
            });
        }
        if !wrong.is_empty() {
            triggers::set_replication_triggers(collection, &source);
        }
        triggers::record_partitions(collection, &source);
    }
    Finding::new(TRIGGER, wrong.len() as i64, repairs.then_some("created"))
}

fn policies(target: &Target, repairs: bool) -> i64 {
    let generation = &target.generation;
    let found = generation.without_policies(&target.collection);
    let inverted = [generation.segments, generation.postings];
    let (hidden, texts): (Vec<Oid>, Vec<Oid>) =
        found.into_iter().partition(|table| inverted.contains(table));
    let (bits, texts): (Vec<Oid>, Vec<Oid>) =
        texts.into_iter().partition(|table| generation.bits == Some(*table));
    let names = [
        ("documents", target.documents.as_str()),
        ("chunks", &target.chunks),
        ("bits", target.bits.as_deref().unwrap_or_default()),
        ("segments", &target.segments),
        ("postings", &target.postings),
        ("documents_visible", &target.collection.source_visible(&target.documents)),
        ("chunks_visible", &target.collection.source_visible(&target.chunks)),
    ];
    if repairs {
        as_source_owner(target.collection.owner, || {
            if !texts.is_empty() {
                drop_policies(generation.documents);
                drop_policies(generation.chunks);
                let sql = statement!("catalog/create_policies");
                execute(&fill(sql, &names), &[]);
            }
            for table in bits.iter().copied() {
                drop_policies(table);
                let sql = statement!("catalog/create_bits_policy");
                execute(&fill(sql, &names), &[]);
            }
            for table in hidden.iter().copied() {
                drop_policies(table);
                let sql = statement!("catalog/create_inverted_policies");
                execute(&fill(sql, &names), &[]);
            }
        });
    }
    (texts.len() + bits.len() + hidden.len()) as i64
}

/// The indexes that searches and workers need. `rag_maintain` looks after the vector index.
fn indexes(target: &Target, repairs: bool) -> i64 {
    let sql = statement!("maintain/verify_indexes");
    let generation = &target.generation;
    let keys = target.collection.keys.len() as i32;
    let args = [
        generation.documents.into(),
        generation.chunks.into(),
        generation.bits.into(),
        keys.into(),
        generation.segments.into(),
        generation.postings.into(),
    ];
    let missing = read(sql, &args, |row| required::<String>(&row, 1));
    if repairs {
        let names = [
            ("documents", target.documents.as_str()),
            ("chunks", &target.chunks),
            ("bits", target.bits.as_deref().unwrap_or_default()),
            ("segments", &target.segments),
            ("postings", &target.postings),
            ("keys", &target.collection.stored_keys("")),
        ];
        as_source_owner(target.collection.owner, || {
            for template in &missing {
                execute(&fill(template, &names), &[]);
            }
        });
    }
    missing.len() as i64
}

fn view(collection: &Collection, repairs: bool) -> Result<i64> {
    let sql = statement!("maintain/verify_view");
    let is_there = !read(sql, &[collection.id.into()], |_| ()).is_empty();
    if repairs && !is_there {
        let generation = collection.active_generation()?;
        as_source_owner(collection.owner, || create::create_view(collection, &generation))?;
        create::record_view(collection);
    }
    Ok(i64::from(!is_there))
}

/// Roles that `rag_grant` let read the chunks, but that lack a privilege on another table or on the view.
fn grants(collection: &Collection, generation: &Generation, repairs: bool) -> Result<i64> {
    let sql = statement!("maintain/verify_grants");
    let args = [generation.id.into()];
    let roles = read_written(repairs, sql, &args, |row| required::<String>(&row, 1));
    if repairs && !roles.is_empty() {
        // Read again: the view may have been created just now.
        let collection = Collection::by_name(&collection.name)?;
        let mut tables = generation.tables_sql()?;
        tables.extend(collection.view.map(|_| collection.view_sql.clone()));
        let tables = tables.join(", ");
        as_source_owner(collection.owner, || {
            for role in &roles {
                let role = quote_identifier(role);
                let names = [("tables", tables.as_str()), ("role", &role)];
                execute(&fill(statement!("maintain/grant"), &names), &[]);
            }
        });
    }
    Ok(roles.len() as i64)
}
