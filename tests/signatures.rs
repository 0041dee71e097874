//! Functions that SQL calls have two signatures: the one of their `CREATE FUNCTION`, and Rust's. PostgreSQL passes arguments by
//! position and believes the first; these tests compare both.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn files(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|its| its == extension) {
            found.push(path);
        }
    }
}

fn texts(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), extension, &mut found);
    found.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect()
}

/// A name with a type.
type Named = (String, String);

/// What a function takes and returns.
#[derive(Debug)]
struct Signature {
    name: String,
    arguments: Vec<Named>,
    /// What it returns but for a table.
    result: String,
    /// Columns of a table.
    columns: Vec<Named>,
    is_strict: bool,
}

/// Parts of a list at its top level, where no brackets are open.
fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        match c {
            '(' | '<' | '[' => depth += 1,
            ')' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("at least one").push(c);
    }
    let words = |part: &String| part.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.iter().map(words).filter(|part| !part.is_empty()).collect()
}

/// The text in the brackets that `text` begins with, and what follows.
fn bracketed(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    panic!("brackets that nothing closes: {text}");
}

/// `name type`, of which a default is no part.
fn sql_named(part: &str) -> Named {
    let part = part.split(" = ").next().unwrap_or_default();
    let (name, kind) = part.split_once(' ').unwrap_or(("", part));
    (name.trim_matches('"').to_owned(), kind.to_owned())
}

/// The functions that a text creates, by the symbol that they call; `own` where that is the function's own.
fn sql_signatures(text: &str, own: &str) -> BTreeMap<String, Signature> {
    let mut found = BTreeMap::new();
    let statements = text.split("CREATE FUNCTION ").skip(1);
    for statement in statements.chain(text.split("CREATE PROCEDURE ").skip(1)) {
        let statement = statement.split(';').next().unwrap_or_default();
        let Some((head, symbol)) = statement.split_once("'MODULE_PATHNAME', '") else { continue };
        let symbol = symbol.split('\'').next().unwrap_or_default();
        let symbol = if symbol == "@FUNCTION_NAME@" { own } else { symbol };
        let open = head.find('(').expect("arguments");
        let name = head[..open].trim().to_owned();
        let (arguments, rest) = bracketed(&head[open..]);
        let is_out = |part: &String| part.starts_with("OUT ");
        let (out, arguments): (Vec<_>, Vec<_>) = parts(arguments).into_iter().partition(is_out);
        let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        let table = rest.strip_prefix("RETURNS TABLE (");
        let columns = table.map_or_else(
            || out.iter().map(|part| part["OUT ".len()..].to_owned()).collect(),
            |table| parts(bracketed(&format!("({table}")).0),
        );
        let options = [" STABLE", " IMMUTABLE", " VOLATILE", " STRICT", " LANGUAGE", " PARALLEL"];
        let result = rest.strip_prefix("RETURNS ").filter(|_| columns.is_empty());
        let result = result.map_or("", |result| {
            let end = options.iter().filter_map(|option| result.find(option)).min();
            &result[..end.unwrap_or(result.len())]
        });
        let signature = Signature {
            name,
            arguments: arguments.iter().map(|part| sql_named(part)).collect(),
            result: result.to_owned(),
            columns: columns.iter().map(|part| sql_named(part)).collect(),
            is_strict: rest.contains(" STRICT"),
        };
        found.insert(symbol.to_owned(), signature);
    }
    found
}

/// What a generic type is of, if it is `outer`.
fn inner<'a>(kind: &'a str, outer: &str) -> Option<&'a str> {
    kind.strip_prefix(outer)?.trim().strip_prefix('<')?.strip_suffix('>').map(str::trim)
}

/// The functions of a source file that SQL calls, each with the text of its attribute. `options` are the arguments that one of
/// the type `SearchArguments` stands for.
fn rust_signatures<'t>(text: &'t str, options: &[Named]) -> Vec<(&'t str, Signature)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("#[pg_extern") {
        let start = ["\nfn ", "\npub fn "]
            .iter()
            .filter_map(|line| Some(at + text[at..].find(line)? + line.len()))
            .min()
            .expect("a function behind its attribute");
        let open = start + text[start..].find('(').expect("arguments");
        let (arguments, rest) = bracketed(&text[open..]);
        let result = rest.split_once(" {").map_or(rest, |(result, _)| result);
        let result = result.split_whitespace().collect::<Vec<_>>().join(" ");
        let result = result.strip_prefix("-> ").unwrap_or("()");
        let result = result.strip_prefix("rag::").unwrap_or(result);
        let result = inner(result, "Result").map_or_else(
            || result.to_owned(),
            |both| parts(both).first().expect("what it returns").clone(),
        );
        let table = inner(&result, "TableIterator").map(|both| {
            let row = parts(both).pop().expect("a row");
            let row = row.trim().trim_start_matches('(').trim_end_matches(')').to_owned();
            let row = parts(&format!("{row})").replace("name!(", "").replace(')', ""));
            row.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
        });
        let named = |argument: &String| {
            let (name, kind) = argument.split_once(':').expect("a name and a type");
            let kind = kind.trim();
            let kind = kind.strip_prefix("default!(").map_or_else(
                || kind.to_owned(),
                |both| parts(both.trim_end_matches(')'))[0].clone(),
            );
            (name.trim().trim_start_matches('_').to_owned(), kind)
        };
        let each = |(name, kind): Named| match &*kind {
            "SearchArguments" => options.to_vec(),
            _ => vec![(name, kind)],
        };
        let mut arguments: Vec<Named> = parts(arguments).iter().map(named).flat_map(each).collect();
        arguments.retain(|(_, kind)| kind != "pg_sys::FunctionCallInfo");
        let signature = Signature {
            name: text[start..open].trim().to_owned(),
            is_strict: arguments.iter().all(|(_, kind)| inner(kind, "Option").is_none()),
            arguments,
            result: if table.is_some() { String::new() } else { result },
            columns: table.unwrap_or_default(),
        };
        found.push((&text[at..start], signature));
    }
    found
}

/// The fields of `SearchArguments`.
fn search_arguments(texts: &[String]) -> Vec<Named> {
    let start = "pub struct SearchArguments {";
    let text = texts.iter().find_map(|text| text.split_once(start)).expect("the struct").1;
    let fields = parts(text.split_once("\n}").expect("its end").0);
    let field = |field: &String| {
        let (name, kind) = field.split_once(": ").expect("a name and a type");
        (name.trim_start_matches("pub ").to_owned(), kind.to_owned())
    };
    fields.iter().map(field).collect()
}

/// Whether values of a type of Rust's are of a type of SQL's.
fn is_of_type(rust: &str, sql: &str) -> bool {
    let rust = inner(rust, "Option").unwrap_or(rust);
    if let Some(element) = sql.strip_suffix("[]") {
        let of = inner(rust, "Vec").or_else(|| inner(rust, "Array"));
        let of = of.map(|of| of.strip_prefix("'_, ").unwrap_or(of));
        return rust == "VectorArray" && element == "vector"
            || of.is_some_and(|of| is_of_type(of, element));
    }
    let types: &[&str] = match rust {
        "&str" | "&'static str" | "String" => &["text"],
        "bool" => &["bool", "boolean"],
        "i32" => &["int", "integer"],
        "i64" => &["bigint"],
        "f64" => &["float8", "double precision"],
        "JsonB" | "JsonText" => &["jsonb"],
        "Oid" | "pg_sys::Oid" => &["oid", "regclass", "regconfig", "regrole"],
        "&CStr" => &["name"],
        "&[u8]" | "Vec<u8>" => &["bytea"],
        "Uuid" => &["uuid"],
        "TimestampWithTimeZone" => &["timestamptz"],
        "Interval" => &["interval"],
        "ItemPointerData" => &["tid"],
        "TsVector<'_>" => &["tsvector"],
        "Vector" => &["vector"],
        "()" => &["void", ""],
        _ => &[],
    };
    types.contains(&sql)
}

/// How the signatures of a function differ.
fn differences(rust: &Signature, sql: &Signature) -> Vec<String> {
    let mut found = Vec::new();
    let lists =
        [("argument", &rust.arguments, &sql.arguments), ("column", &rust.columns, &sql.columns)];
    for (what, rust, sql) in lists {
        if rust.len() != sql.len() {
            found.push(format!("{} {what}s in Rust, {} in SQL", rust.len(), sql.len()));
        }
        for ((name, kind), (sql_name, sql_kind)) in rust.iter().zip(sql) {
            if name != sql_name {
                found.push(format!("{what} {name} in Rust, {sql_name} in SQL"));
            }
            if !is_of_type(kind, sql_kind) {
                found.push(format!("{what} {name}: {kind} in Rust, {sql_kind} in SQL"));
            }
        }
    }
    if !rust.arguments.is_empty() && rust.is_strict != sql.is_strict {
        let (rust, sql) = (rust.is_strict, sql.is_strict);
        found.push(format!("takes no NULL: {rust} in Rust (no Option), {sql} in SQL (STRICT)"));
    }
    let set = inner(&rust.result, "SetOfIterator").map(|both| parts(both)[1].clone());
    let is_same = match (sql.result.strip_prefix("SETOF "), set) {
        (Some(of), Some(set)) => is_of_type(&set, of),
        (None, None) => is_of_type(&rust.result, &sql.result) || rust.result == sql.result,
        _ => false,
    };
    if !is_same {
        found.push(format!("returns {} in Rust, \"{}\" in SQL", rust.result, sql.result));
    }
    found
}

/// The columns of a row type, which is what functions with OUT arguments return.
fn with_columns_of_rows(mut rust: Signature) -> Signature {
    let result = inner(&rust.result, "Option").unwrap_or(&rust.result);
    if let Some(first) = inner(result, "Embedded") {
        let name = if first == "Vector" { "embedding" } else { "embeddings" };
        rust.columns = vec![
            (name.to_owned(), first.to_owned()),
            ("fingerprint".to_owned(), "String".to_owned()),
        ];
        rust.result = String::new();
    }
    rust
}

#[test]
fn both_signatures_of_a_function_are_the_same() {
    let elsewhere: BTreeMap<String, Signature> =
        texts("sql", "sql").iter().flat_map(|text| sql_signatures(text, "")).collect();
    let (mut compared, mut found) = (0, Vec::new());
    let sources = texts("src", "rs");
    let options = search_arguments(&sources);
    assert_eq!(options.len(), 15);
    for text in &sources {
        for (attribute, rust) in rust_signatures(text, &options) {
            let symbol = format!("{}_wrapper", rust.name);
            let own = sql_signatures(attribute, &symbol);
            let sql = own.get(&symbol).or_else(|| elsewhere.get(&symbol));
            let Some(sql) = sql else {
                found.push(format!("{} is created nowhere", rust.name));
                continue;
            };
            compared += 1;
            let rust = with_columns_of_rows(rust);
            let differences = differences(&rust, sql);
            found
                .extend(differences.iter().map(|it| format!("{} ({}): {it}", sql.name, rust.name)));
        }
    }
    assert!(compared >= 53, "only {compared} functions were compared");
    assert!(found.is_empty(), "signatures that differ:\n{}", found.join("\n"));
}

#[test]
fn each_difference_of_signatures_is_found() {
    const FUNCTION: &str = "#[pg_extern(sql = r\"
CREATE FUNCTION rag.f(a text, b int = 1, c jsonb = NULL, e float8 = 1, g boolean = true) RETURNS TABLE (x bigint, y text[])
    STABLE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
\")]
fn f(
    a: Option<&str>,
    b: Option<i32>,
    _c: default!(Option<JsonText>, \"NULL\"),
    options: SearchArguments,
) -> Result<TableIterator<'static, (name!(x, i64), name!(y, Option<Vec<String>>))>, SqlError> {
";
    let compare = |text: &str| {
        let options = [("e", "Option<f64>"), ("g", "Option<bool>")]
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        let rust = rust_signatures(text, &options);
        let (attribute, rust) = rust.first().expect("a function");
        differences(rust, &sql_signatures(attribute, "f")["f"])
    };
    assert_eq!(compare(FUNCTION), Vec::<String>::new());
    for (before, after, difference) in [
        ("a text, b", "b", "5 arguments in Rust, 4 in SQL"),
        ("a text, b int", "b int, a text", "argument a in Rust, b in SQL"),
        ("b int", "b bigint", "argument b: Option<i32> in Rust, bigint in SQL"),
        ("b: Option<i32>", "b: Option<i64>", "argument b: Option<i64> in Rust, int in SQL"),
        ("e float8", "e int", "argument e: Option<f64> in Rust, int in SQL"),
        ("g boolean", "h boolean", "argument g in Rust, h in SQL"),
        ("x bigint", "x int", "column x: i64 in Rust, int in SQL"),
        ("x bigint, ", "", "2 columns in Rust, 1 in SQL"),
        ("y text[]", "y text", "column y: Option<Vec<String>> in Rust, text in SQL"),
        ("STABLE", "STABLE STRICT", "false in Rust (no Option), true in SQL"),
        ("RETURNS TABLE (x bigint, y text[])", "RETURNS SETOF text", "2 columns in Rust, 0 in SQL"),
    ] {
        assert!(FUNCTION.contains(before), "{before}");
        let found = compare(&FUNCTION.replacen(before, after, 1)).join("\n");
        assert!(found.contains(difference), "{before} -> {after}: {found}");
    }
}
