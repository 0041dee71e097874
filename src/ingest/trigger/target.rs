//! Which collections a table is the source of, cached per backend.
use crate::sys::cursor::Snapshot;
use crate::sys::plan;
use crate::sys::rows::row;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgRelation, PgSqlErrorCode, function_name, pg_guard, pg_sys};
use rag::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::CString;
use std::rc::Rc;

/// A column of the table that fires the trigger.
#[derive(Debug, Clone)]
pub struct TriggerColumn {
    /// Attribute number in that table: partitions number theirs differently.
    pub attribute: i16,
    /// The type's output function.
    pub output: pg_sys::Oid,
    /// Whether the type is passed by value.
    pub by_value: bool,
    /// Length of the type, negative when it varies.
    pub length: i16,
    /// Whether its output function depends on no setting.
    is_plain: bool,
    /// Bytes of an integer type, which is written without that function; 0: another type.
    pub integer: u8,
}

/// The collections of a table and the columns they watch.
#[derive(Debug)]
pub struct TriggerTargets {
    /// Ids of the collections.
    pub collections: Vec<i32>,
    /// Columns of the primary key, in its order.
    pub columns: Vec<TriggerColumn>,
    /// Whether the text of a key depends on settings of the session.
    pub depends_on_settings: bool,
    /// Columns of the document's text.
    pub watched: Vec<TriggerColumn>,
}

/// Types whose text depends on no setting; keys of other types are written under fixed settings.
const PLAIN_TYPES: [pg_sys::Oid; 8] = [
    pg_sys::INT2OID,
    pg_sys::INT4OID,
    pg_sys::INT8OID,
    pg_sys::NUMERICOID,
    pg_sys::TEXTOID,
    pg_sys::VARCHAROID,
    pg_sys::BPCHAROID,
    pg_sys::UUIDOID,
];

type TargetsByTable = HashMap<(pg_sys::Oid, Option<String>), Rc<TriggerTargets>>;

thread_local! {
    static CACHE: RefCell<TargetsByTable> = RefCell::new(HashMap::new());
    /// Tables that are the source of no collection, of which a WARNING told.
    static STRANGERS: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// The collections whose source is `relation`, or only the one named by the trigger's argument. `None` where there is none, which does not
/// fail the user's write: a table may be restored without its collection, or before it, and `rag_verify` finds what was written
/// meanwhile. A WARNING tells of it, once in a session.
pub fn targets(relation: pg_sys::Oid, name: Option<&str>) -> Result<Option<Rc<TriggerTargets>>> {
    watch_relations();
    let key = (relation, name.map(str::to_owned));
    if let Some(found) = CACHE.with_borrow(|cache| cache.get(&key).cloned()) {
        return Ok(Some(found));
    }
    let Some(targets) = load(relation, name)?.map(Rc::new) else {
        if STRANGERS.with_borrow_mut(|strangers| strangers.insert(relation)) {
            warn_of_stranger(relation, name);
        }
        return Ok(None);
    };
    CACHE.with_borrow_mut(|cache| cache.insert(key, targets.clone()));
    Ok(Some(targets))
}

row! {
    struct CollectionRow {
        collection_id: i32,
        name: String,
        key_columns: Vec<String>,
        content_column: String,
        title_column: Option<String>,
        file_name_column: Option<String>,
        media_type_column: Option<String>,
    }
}

fn load(relation: pg_sys::Oid, name: Option<&str>) -> Result<Option<TriggerTargets>> {
    let sql = statement!("ingest/trigger_collections");
    // Trigger and collection may be newer than the transaction's snapshot, which SPI as pgrx wraps it would take once that has
    // written.
    let latest = Snapshot::latest();
    let mut found = plan::read(sql, &[relation.into()], CollectionRow::read);
    drop(latest);
    found.retain(|row| name.is_none_or(|name| name == row.name));
    let Some(first) = found.first() else { return Ok(None) };
    let describe = |name: &String| describe(relation, name);
    let columns: Vec<TriggerColumn> =
        first.key_columns.iter().map(describe).collect::<Result<_>>()?;
    let watched = found.iter().flat_map(|row| {
        let beside = [&row.title_column, &row.file_name_column, &row.media_type_column];
        beside.into_iter().flatten().chain([&row.content_column])
    });
    let watched: BTreeSet<&String> = watched.collect();
    Ok(Some(TriggerTargets {
        collections: found.iter().map(|row| row.collection_id).collect(),
        depends_on_settings: columns.iter().any(|column| !column.is_plain),
        columns,
        watched: watched.into_iter().map(describe).collect::<Result<_>>()?,
    }))
}

fn describe(relation: pg_sys::Oid, name: &str) -> Result<TriggerColumn> {
    // SAFETY: the trigger holds a lock on the relation.
    let opened = unsafe { PgRelation::open(relation) };
    let c_name = CString::new(name).expect("names hold no NUL");
    // SAFETY: look-ups of an existing relation and, once found, of one of its columns.
    unsafe {
        let attribute = pg_sys::get_attnum(relation, c_name.as_ptr());
        let position = usize::try_from(attribute).ok().and_then(|n| n.checked_sub(1));
        let tuple_desc = opened.tuple_desc();
        let Some(attr) = position.and_then(|position| tuple_desc.get(position)) else {
            let table = opened.name();
            return Err(Error::undefined_column(format!(
                "column \"{name}\" of table \"{table}\" does not exist"
            ))
            .with_hint(
                "Its collection needs this column: drop the collection and create it anew.",
            ));
        };
        let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(attr.atttypid, &raw mut output, &raw mut is_varlena);
        Ok(TriggerColumn {
            attribute,
            output,
            by_value: attr.attbyval,
            length: attr.attlen,
            is_plain: PLAIN_TYPES.contains(&attr.atttypid),
            integer: match attr.atttypid {
                pg_sys::INT2OID => 2,
                pg_sys::INT4OID => 4,
                pg_sys::INT8OID => 8,
                _ => 0,
            },
        })
    }
}

fn warn_of_stranger(relation: pg_sys::Oid, name: Option<&str>) {
    // SAFETY: the trigger holds a lock on the relation.
    let opened = unsafe { PgRelation::open(relation) };
    let table = opened.name();
    let message = match name {
        None => format!("table \"{table}\" is not the source of a collection"),
        Some(name) => format!("table \"{table}\" is not the source of collection \"{name}\""),
    };
    let hint = "Changes are written, but no search will find them. rag_create_collection() makes a collection of the table; where one is restored later, rag_verify() finds what changed.";
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, message, function_name!())
        .set_hint(hint)
        .report(PgLogLevel::WARNING);
}

/// Registers for relcache invalidations: creating or dropping a collection creates or drops triggers of its source.
fn watch_relations() {
    if IS_WATCHING.replace(true) {
        return;
    }
    // SAFETY: the callback stays in memory with the library, which is never unloaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    // An invalidation can arrive while the map is being read or filled; then it is read again below.
    CACHE.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            if relation == pg_sys::InvalidOid {
                known.clear();
            } else {
                known.retain(|(table, _), _| *table != relation);
            }
        }
    });
}
