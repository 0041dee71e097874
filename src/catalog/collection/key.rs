//! Primary keys of any type, carried as text.
//!
//! A key travels as a JSON array of its columns' text forms, `["42"]` or `["a","2026-01-01"]`, written
//! by the types' output functions and read by their input functions. Never `to_json`: a cast to json
//! that a user defined for a type of theirs would run with our rights.
#![allow(unsafe_code)] // the caches of catalogs

use crate::sys::spi::required;
use crate::sys::{names, plan};
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::quote_identifier;
use serde_json::{Map, Value};
use std::ffi::CString;
use std::fmt::Write as _;

/// Strategies of a b-tree operator class.
const EQUAL_STRATEGY: i16 = pg_sys::BTEqualStrategyNumber as i16;
const GREATER_STRATEGY: i16 = pg_sys::BTGreaterStrategyNumber as i16;

/// One column of a source's primary key.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// Position in the key, from 1.
    pub position: usize,
    /// Name in the source, unquoted.
    pub name: String,
    /// Type with its modifier, as SQL.
    pub type_sql: String,
    /// Collation as SQL, where the type has one.
    pub collation_sql: Option<String>,
    /// Type.
    pub type_oid: Oid,
    equality: String,
    greater: String,
    /// An array or a row: PostgreSQL has no arrays of arrays, and takes rows apart in `unnest`.
    is_compound: bool,
}

impl KeyColumn {
    /// Name in the source, quoted.
    pub fn name_sql(&self) -> String {
        quote_identifier(&self.name)
    }

    /// Whether its values move out of line before others do.
    pub fn may_move(&self) -> bool {
        // SAFETY: a syscache look-up.
        let storage = unsafe { pg_sys::get_typstorage(self.type_oid) };
        matches!(u8::from_ne_bytes(storage.to_ne_bytes()), b'x' | b'e')
    }

    /// Name in the generation's tables.
    pub fn stored_name(&self) -> String {
        format!("key_{}", self.position)
    }

    /// The operator by which the primary key's index calls two values equal.
    pub fn equality(&self) -> &str {
        &self.equality
    }

    /// SQL comparing two values as the primary key does.
    pub fn equal(&self, left: &str, right: &str) -> String {
        format!("{left} {} {right}", self.equality)
    }

    /// Type of the elements of an array parameter that carries this column's values, and what turns
    /// such an element into a value: a compound one travels as text.
    fn element(&self) -> (&str, String) {
        let cast = if self.is_compound { format!("::{}", self.type_sql) } else { String::new() };
        let collate = self.collation_sql.as_ref().map(|name| format!(" COLLATE {name}"));
        (
            if self.is_compound { "text" } else { &self.type_sql },
            cast + &collate.unwrap_or_default(),
        )
    }
}

/// A FROM item `k` with the keys of [`array_literals`] in the parameters `$1`, `$2`, … of `columns`:
/// columns named as [`KeyColumn::stored_name`] says, and `ordinal` from 1.
pub fn keys_sql(columns: &[KeyColumn]) -> String {
    let (mut arrays, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for key in columns {
        let (element, convert) = key.element();
        let name = key.stored_name();
        arrays.push(format!("pg_catalog.unnest(${}::text::{element}[])", key.position));
        values.push(format!("r.{name}{convert} AS {name}"));
        names.push(name);
    }
    format!(
        "(SELECT {}, r.ordinal FROM ROWS FROM ({}) WITH ORDINALITY AS r ({}, ordinal)) AS k",
        values.join(", "),
        arrays.join(", "),
        names.join(", "),
    )
}

/// SQL that is true for rows behind the one key of [`array_literals`] in the parameters `$1`, `$2`, …
/// of `columns`, in the order of the primary key. `left` says how the row's columns are called.
pub fn behind_sql(columns: &[KeyColumn], left: impl Fn(&KeyColumn) -> String) -> String {
    let value = |key: &KeyColumn| {
        let (element, convert) = key.element();
        format!("((${}::text::{element}[])[1]){convert}", key.position)
    };
    let Some((last, rest)) = columns.split_last() else { return "false".to_owned() };
    if rest.iter().all(|key| key.greater == last.greater) {
        // One row comparison, which an index can answer.
        let row = |part: &dyn Fn(&KeyColumn) -> String| {
            columns.iter().map(part).collect::<Vec<_>>().join(", ")
        };
        return format!("ROW({}) {} ROW({})", row(&left), last.greater, row(&value));
    }
    let greater = |key: &KeyColumn| format!("{} {} {}", left(key), key.greater, value(key));
    rest.iter().rev().fold(greater(last), |behind, key| {
        format!("({} OR {} AND ({behind}))", greater(key), key.equal(&left(key), &value(key)))
    })
}

/// The primary key's columns of a table; empty when it has none.
pub fn primary_key(table: Oid) -> Vec<KeyColumn> {
    let sql = statement!("catalog/load_keys");
    let found = plan::read_latest(sql, &[table.into()], |row| (required(row, 1), required(row, 2)));
    let columns = (1..).zip(found);
    columns
        .map(|(position, (attribute, class))| describe(table, position, attribute, class))
        // A column or a type dropped at this very moment takes the key with it.
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// Columns of a table that are a key elsewhere, in the order of their default operator classes; `None` where one is missing or has none.
pub fn columns(table: Oid, names: &[String]) -> Option<Vec<KeyColumn>> {
    let column = |(position, name): (usize, &String)| {
        let name = CString::new(name.as_str()).ok()?;
        // SAFETY: cache look-ups inside a transaction; 0 stands for a column that is gone.
        let (attribute, class) = unsafe {
            let attribute = pg_sys::get_attnum(table, name.as_ptr());
            let type_oid = pg_sys::get_atttype(table, attribute);
            (attribute, pg_sys::GetDefaultOpClass(type_oid, pg_sys::BTREE_AM_OID))
        };
        (attribute != 0 && class != Oid::INVALID)
            .then(|| describe(table, position, attribute, class))?
    };
    (1..).zip(names).map(column).collect()
}

/// The column `attribute` of `table`, at `position` in a key that compares it by the operator class `class`.
fn describe(table: Oid, position: usize, attribute: i16, class: Oid) -> Option<KeyColumn> {
    let name = names::column(table, attribute)?;
    let (mut type_oid, mut collation) = (Oid::INVALID, Oid::INVALID);
    let mut modifier = -1;
    // SAFETY: cache look-ups inside a transaction, of a column that was there a moment ago and of its type.
    let (equality, greater, is_compound) = unsafe {
        let out = (&raw mut type_oid, &raw mut modifier, &raw mut collation);
        pg_sys::get_atttypetypmodcoll(table, attribute, out.0, out.1, out.2);
        let family = pg_sys::get_opclass_family(class);
        let input = pg_sys::get_opclass_input_type(class);
        let operator = |strategy| pg_sys::get_opfamily_member(family, input, input, strategy);
        let is_array = pg_sys::get_element_type(type_oid) != Oid::INVALID;
        (
            operator(EQUAL_STRATEGY),
            operator(GREATER_STRATEGY),
            is_array || pg_sys::type_is_rowtype(type_oid),
        )
    };
    let collation_sql = match collation {
        Oid::INVALID => None,
        collation => Some(names::collation(collation)?),
    };
    Some(KeyColumn {
        position,
        name,
        type_sql: names::type_of(type_oid, modifier)?,
        collation_sql,
        type_oid,
        equality: names::operator(equality)?,
        greater: names::operator(greater)?,
        is_compound,
    })
}

/// A key as SQL shows it: its columns under their own names, whole numbers as numbers, everything else as
/// text.
pub fn shown(columns: &[KeyColumn], key: &[String]) -> Value {
    let columns = columns.iter().zip(key).map(|(column, text)| {
        let number = match column.type_oid {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => text.parse::<i64>().ok(),
            _ => None,
        };
        (column.name.clone(), number.map_or_else(|| Value::from(text.as_str()), Value::from))
    });
    Value::Object(columns.collect::<Map<_, _>>())
}

/// Writes a key as a JSON array of strings.
pub fn encode<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    let mut key = String::from("[");
    for (i, column) in columns.into_iter().enumerate() {
        if i > 0 {
            key.push(',');
        }
        push(&mut key, column);
    }
    key.push(']');
    key
}

/// Appends a column's text to a key as a JSON string. No control character is left in it.
pub fn push(key: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        key.push_str(&serde_json::Value::from(text).to_string());
    } else {
        key.push('"');
        key.push_str(text);
        key.push('"');
    }
}

/// Reads a key written by [`encode`].
pub fn decode(key: &str) -> Vec<String> {
    serde_json::from_str(key).expect("keys are written by encode")
}

/// Array literals of each key column over `keys`, for `$n::text::type[]` parameters: the array's input
/// function then calls the type's own, whatever casts a user defined.
pub fn array_literals(keys: &[String], columns: usize) -> Vec<String> {
    let mut literals = vec![String::from("{"); columns];
    for (i, key) in keys.iter().enumerate() {
        for (literal, value) in literals.iter_mut().zip(decode(key)) {
            if i > 0 {
                literal.push(',');
            }
            literal.push('"');
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    literal.push('\\');
                }
                let _ = literal.write_char(c);
            }
            literal.push('"');
        }
    }
    for literal in &mut literals {
        literal.push('}');
    }
    literals
}

#[cfg(test)]
mod tests {
    use super::{array_literals, decode, encode};

    #[test]
    fn keys_survive_any_text() {
        for columns in [vec!["42"], vec!["a\"b", "c\\d", "{,}"], vec!["", "NULL", "é\n\t"]] {
            assert_eq!(decode(&encode(columns.iter().copied())), columns);
        }
    }

    #[test]
    fn array_literals_quote_every_element() {
        let keys = [encode(["NULL", "x"]), encode(["a\"\\b", ""])];
        assert_eq!(array_literals(&keys, 2), [r#"{"NULL","a\"\\b"}"#, r#"{"x",""}"#]);
    }
}
