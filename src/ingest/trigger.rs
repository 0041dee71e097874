//! `rag_ingest()`, the trigger that records in a user's transaction which documents changed.
//!
//! It appends the keys of changed rows to `rag.change` and touches nothing else, so it neither waits for nor fails because of
//! another transaction. It runs with the user's rights, except for that INSERT of finished values.
#![allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns what it allocates for any type
#![allow(unsafe_code)] // reads trigger data and transition tables, which pgrx does not wrap

mod rows;
mod target;

use crate::sys::error::raise;
use crate::sys::rights;
use crate::sys::workers::wake;
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use rag::Error;
use rows::SlotRow;
use std::cell::RefCell;
use std::rc::Rc;
use target::TriggerTargets;

/// Most keys in a row of `rag.change`.
const KEYS_PER_CHANGE: usize = 1_000;
/// Bytes of keys after which a new row begins.
const BYTES_PER_CHANGE: usize = 1 << 20;

/// Tells PostgreSQL how to call [`rag_ingest`].
#[unsafe(no_mangle)]
#[doc(hidden)]
pub extern "C" fn pg_finfo_rag_ingest() -> &'static pg_sys::Pg_finfo_record {
    static RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

/// The trigger function.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_ingest(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL passes a valid call; whether it comes from a trigger is checked first.
    let data = unsafe { (*fcinfo).context.cast::<pg_sys::TriggerData>() };
    // SAFETY: a context, where there is one, is a node with a tag.
    if data.is_null() || unsafe { (*data).type_ } != pg_sys::NodeTag::T_TriggerData {
        raise(
            Error::unsupported("function \"rag_ingest\" can only be called as a trigger")
                .with_hint("Create a trigger with EXECUTE FUNCTION rag_ingest()."),
        );
    }
    // SAFETY: the tag says it is trigger data, valid for the duration of the call.
    TriggerCall { data: unsafe { &*data } }.record();
    pg_sys::Datum::from(0)
}

extension_sql!(
    r"CREATE FUNCTION @extschema@.rag_ingest() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'rag_ingest';
COMMENT ON FUNCTION @extschema@.rag_ingest() IS 'trigger of a collection''s source: records which documents changed';",
    name = "rag_ingest",
    requires = ["catalog"]
);

/// One firing of a trigger.
struct TriggerCall<'a> {
    data: &'a pg_sys::TriggerData,
}

impl TriggerCall<'_> {
    fn record(&self) {
        let event = self.data.tg_event;
        if event & pg_sys::TRIGGER_EVENT_TIMINGMASK != pg_sys::TRIGGER_EVENT_AFTER {
            raise(
                Error::unsupported("function \"rag_ingest\" must be called AFTER the change")
                    .with_hint("Create the trigger with AFTER."),
            );
        }
        let Some(targets) = self.targets() else { return };
        if event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_TRUNCATE {
            append(&targets, None, false);
        } else {
            let is_insert = event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_INSERT;
            let mut changes =
                KeyBuffer { targets: &targets, keys: String::new(), count: 0, is_insert };
            let mut record = || {
                if event & pg_sys::TRIGGER_EVENT_ROW == 0 {
                    self.record_statement(&mut changes);
                } else {
                    self.record_row(&mut changes);
                }
            };
            if targets.depends_on_settings {
                rights::with_key_text(record);
            } else {
                record();
            }
            changes.flush();
        }
        wake::changes_written();
    }

    fn targets(&self) -> Option<Rc<TriggerTargets>> {
        // SAFETY: a trigger has a relation and a definition, both open during the call.
        let (relation, name) = unsafe {
            let trigger = &*self.data.tg_trigger;
            let name = (trigger.tgnargs > 0)
                .then(|| std::ffi::CStr::from_ptr(*trigger.tgargs).to_string_lossy().into_owned());
            ((*self.data.tg_relation).rd_id, name)
        };
        target::targets(relation, name.as_deref()).unwrap_or_else(|error| raise(error))
    }

    fn record_row(&self, changes: &mut KeyBuffer<'_>) {
        let columns = &changes.targets.columns;
        // SAFETY: a row trigger has the row in its first slot; an UPDATE the new row in the second.
        let (old, new) = unsafe {
            let new = self.data.tg_newslot;
            let is_update =
                self.data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE;
            (SlotRow::new(self.data.tg_trigslot), is_update.then(|| SlotRow::new(new)))
        };
        let key = old.key(columns);
        if let Some(new_key) = new.map(|row| row.key(columns)).filter(|new_key| *new_key != key) {
            changes.push(&new_key);
        }
        changes.push(&key);
    }

    fn record_statement(&self, changes: &mut KeyBuffer<'_>) {
        let targets = changes.targets;
        // SAFETY: transition tables live as long as the trigger's call; NULL where not asked for.
        let (old, new) = unsafe {
            let relation = self.data.tg_relation;
            let table = |store| rows::TransitionTable::new(relation, store);
            (table(self.data.tg_oldtable), table(self.data.tg_newtable))
        };
        match (old, new) {
            (Some(mut old), Some(mut new)) => {
                // The two tables hold the rows of an UPDATE in the same order.
                while let (Some(before), Some(after)) = (old.next(), new.next()) {
                    let keys = (before.key(&targets.columns), after.key(&targets.columns));
                    if keys.0 != keys.1 {
                        changes.push(&keys.0);
                        changes.push(&keys.1);
                    } else if before.differs(&after, &targets.watched) {
                        changes.push(&keys.0);
                    }
                }
            }
            (Some(mut only), None) | (None, Some(mut only)) => {
                while let Some(row) = only.next() {
                    changes.push(&row.key(&targets.columns));
                }
            }
            // A statement trigger created by hand without REFERENCING has no transition tables.
            (None, None) => append(targets, None, false),
        }
    }
}

/// Keys to append to `rag.change`.
struct KeyBuffer<'a> {
    targets: &'a TriggerTargets,
    /// One a line: keys hold no control characters.
    keys: String,
    count: usize,
    is_insert: bool,
}

impl KeyBuffer<'_> {
    fn push(&mut self, key: &str) {
        if self.count > 0 {
            self.keys.push('\n');
        }
        self.keys.push_str(key);
        self.count += 1;
        if self.count >= KEYS_PER_CHANGE || self.keys.len() >= BYTES_PER_CHANGE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.count > 0 {
            append(self.targets, Some(&self.keys), self.is_insert);
            self.keys.clear();
            self.count = 0;
        }
    }
}

thread_local! {
    static INSERT: RefCell<Option<OwnedPreparedStatement>> = const { RefCell::new(None) };
}

/// Appends one row per collection. NULL keys ask for a comparison of the whole source.
fn append(targets: &TriggerTargets, keys: Option<&str>, is_insert: bool) {
    let keys_type = PgOid::BuiltIn(PgBuiltInOids::TEXTOID);
    let is_insert_type = PgOid::BuiltIn(PgBuiltInOids::BOOLOID);
    let types = [PgOid::BuiltIn(PgBuiltInOids::INT4OID), keys_type, is_insert_type];
    rights::as_extension_owner(|| {
        Spi::connect_mut(|client| {
            INSERT.with_borrow_mut(|kept| {
                let statement = kept.get_or_insert_with(|| {
                    let sql = "INSERT INTO rag.change (collection_id, keys, is_insert) \
                               VALUES ($1, pg_catalog.string_to_array($2, E'\\n'), $3)";
                    client.prepare_mut(sql, &types).expect("SPI prepares an INSERT").keep()
                });
                for collection in &targets.collections {
                    let args = [(*collection).into(), keys.into(), is_insert.into()];
                    client.update(&*statement, None, &args).expect("SPI runs an INSERT");
                }
            });
        });
    });
}
