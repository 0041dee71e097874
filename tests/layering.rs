//! The house rules that a reader relies on: who may know PostgreSQL, where
//! unsafe code is, and which way modules depend on each other.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below `directory`, with its path from the repository's root and its text.
fn sources(directory: &str) -> Vec<(String, String)> {
    files(directory, "rs")
}

/// The same of files with another extension.
fn files(directory: &str, extension: &str) -> Vec<(String, String)> {
    fn collect(directory: &Path, wanted: &str, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                collect(&path, wanted, files);
            } else if path.extension().is_some_and(|extension| extension == wanted) {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(directory), extension, &mut files);
    files.sort();
    let relative = |path: &Path| path.strip_prefix(root).expect("below").display().to_string();
    files.iter().map(|path| (relative(path), fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// Lines that are code, numbered from 1: comments may name what code may not.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
    text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(is_code)
}

/// From the bottom up: each may import what stands before it. `lib.rs` wires them together.
const FLOORS: [&str; 9] =
    ["sys", "models", "catalog", "search", "ingest", "answer", "maintain", "worker", "api"];

/// The modules that a file of `src/` imports or names by path, each as its segments below `crate`.
struct Imports {
    module: Vec<String>,
    paths: Vec<Vec<String>>,
}

fn imports() -> Vec<Imports> {
    sources("src")
        .iter()
        .filter(|(path, _)| path != "src/lib.rs")
        .map(|(path, text)| {
            let path = path.trim_start_matches("src/").trim_end_matches(".rs");
            let module: Vec<String> = path.split('/').map(str::to_owned).collect();
            let text = code(text).map(|(_, line)| line).collect::<Vec<_>>().join("\n");
            let mut paths = Vec::new();
            let mut rest = String::new();
            for (n, part) in text.split("use ").enumerate() {
                let Some((tree, behind)) = part.split_once(';').filter(|_| n > 0) else {
                    rest.push_str(part);
                    continue;
                };
                leaves(&mut Vec::new(), tree, &mut paths);
                rest.push_str(behind);
            }
            for start in ["crate::", "super::", "self::"] {
                for (at, _) in rest.match_indices(start) {
                    let path =
                        rest[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                    let path = path.into_iter().next().unwrap_or_default();
                    leaves(&mut Vec::new(), path, &mut paths);
                }
            }
            let paths = paths.iter().filter_map(|path| absolute(&module, path)).collect();
            Imports { module, paths }
        })
        .collect()
}

/// The paths of a `use` tree, such as `a::{b, c::d}`.
fn leaves(prefix: &mut Vec<String>, tree: &str, found: &mut Vec<Vec<String>>) {
    let depth = prefix.len();
    let (path, group) = tree.split_once('{').map_or((tree, None), |(path, group)| {
        (path, Some(group.rsplit_once('}').map_or(group, |(group, _)| group)))
    });
    let path = path.split(" as ").next().unwrap_or_default();
    prefix.extend(path.split("::").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned));
    match group {
        None => found.push(prefix.clone()),
        Some(group) => {
            let (mut nested, mut from) = (0, 0);
            for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
                match c {
                    '{' => nested += 1,
                    '}' => nested -= 1,
                    ',' if nested == 0 => {
                        if !group[from..at].trim().is_empty() {
                            leaves(prefix, &group[from..at], found);
                        }
                        from = at + 1;
                    }
                    _ => {}
                }
            }
        }
    }
    prefix.truncate(depth);
}

/// A path below `crate`; `None` for one of another crate, or of a child by its bare name.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => {
            let up = path.iter().take_while(|segment| *segment == "super").count();
            Some([&module[..module.len() - up], &path[up..]].concat())
        }
        _ => None,
    }
}

#[test]
fn floors_import_only_those_below_them() {
    let level = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let mut found = Vec::new();
    let mut counted = 0;
    for Imports { module, paths } in imports() {
        let own =
            level(&module[0]).unwrap_or_else(|| panic!("{} is on no floor", module.join("::")));
        for path in paths {
            let Some(other) = path.first().and_then(|name| level(name)) else { continue };
            counted += 1;
            if other > own {
                found.push(format!("{} imports {}", module.join("::"), path.join("::")));
            }
        }
    }
    assert!(counted > 500, "only {counted} imports were found");
    assert!(found.is_empty(), "imports that point upwards:\n{}", found.join("\n"));
}

/// A room is a module of a floor, with the modules below it.
#[test]
fn rooms_of_a_floor_do_not_import_each_other_in_a_circle() {
    let rooms: BTreeSet<[String; 2]> = imports()
        .iter()
        .filter(|file| file.module.len() > 1)
        .map(|file| [file.module[0].clone(), file.module[1].clone()])
        .collect();
    assert!(rooms.len() > 40, "only {} rooms were found", rooms.len());
    let mut arrows: BTreeMap<[String; 2], BTreeSet<[String; 2]>> =
        rooms.iter().map(|room| (room.clone(), BTreeSet::new())).collect();
    for Imports { module, paths } in imports().into_iter().filter(|file| file.module.len() > 1) {
        let from = [module[0].clone(), module[1].clone()];
        for path in paths.into_iter().filter(|path| path.len() > 1) {
            let to = [path[0].clone(), path[1].clone()];
            if to != from && to[0] == from[0] && rooms.contains(&to) {
                arrows.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    let arrows = arrows
        .into_iter()
        .map(|(from, to)| (from.to_vec(), to.into_iter().map(|other| other.to_vec()).collect()));
    let found = circles(&arrows.collect());
    assert!(found.is_empty(), "circles among:\n{}", found.join("\n"));
}

/// Which module imports which others.
type Arrows = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// Takes away modules that import none of what is left, until each does: what is left is in circles, or
/// imports them.
fn circles(arrows: &Arrows) -> Vec<String> {
    let mut left: BTreeSet<_> = arrows.keys().collect();
    loop {
        let is_importing =
            |module: &&Vec<String>| arrows[*module].iter().any(|to| left.contains(to));
        let staying: BTreeSet<_> = left.iter().copied().filter(is_importing).collect();
        if staying == left {
            break;
        }
        left = staying;
    }
    left.iter()
        .map(|module| {
            let to = arrows[*module].iter().filter(|to| left.contains(to)).map(|to| to.join("::"));
            format!("{} imports {}", module.join("::"), to.collect::<Vec<_>>().join(", "))
        })
        .collect()
}

/// The text of a module without comments and without the tests at its end.
fn program(text: &str) -> String {
    let text = code(text).map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The imports between the files of the crate `rag`. A name that a module passes on (`pub use`) counts as
/// imported from the module that defines it; to pass it on is no import.
fn arrows_of_the_crate() -> Arrows {
    const ROOT: &str = "crates/rag/src";
    let files: BTreeMap<Vec<String>, String> = sources(ROOT)
        .into_iter()
        .filter(|(path, _)| !path.starts_with("crates/rag/src/bin/"))
        .map(|(path, text)| {
            let path = path[ROOT.len() + 1..].trim_end_matches(".rs");
            let path = if path == "lib" { "" } else { path };
            let module = path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
            (module, program(&text))
        })
        .collect();
    let below = |module: &[String], path: &[String]| {
        let is_child =
            |name: &String| files.contains_key(&[module, std::slice::from_ref(name)].concat());
        absolute(module, path)
            .or_else(|| path.first().filter(|name| is_child(name)).map(|_| [module, path].concat()))
    };
    let mut passed_on: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    let mut paths: Vec<(&Vec<String>, Vec<String>)> = Vec::new();
    for (module, text) in &files {
        let mut rest = String::new();
        for (n, part) in text.split("use ").enumerate() {
            let Some((tree, behind)) = part.split_once(';').filter(|_| n > 0) else {
                rest.push_str(part);
                continue;
            };
            let is_public =
                rest.trim_end().rsplit('\n').next().unwrap_or_default().starts_with("pub");
            let mut found = Vec::new();
            leaves(&mut Vec::new(), tree, &mut found);
            for path in found.iter().filter_map(|path| below(module, path)) {
                if let (true, Some(name)) = (is_public, path.last().cloned()) {
                    passed_on.insert([&module[..], &[name]].concat(), path);
                } else {
                    paths.push((module, path));
                }
            }
            rest.push_str(behind);
        }
        let words = rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        for word in words.filter(|word| word.contains("::")) {
            let path: Vec<_> = word.split("::").map(str::to_owned).collect();
            paths.extend(below(module, &path).map(|path| (module, path)));
        }
    }
    let mut arrows: Arrows = files.keys().map(|module| (module.clone(), BTreeSet::new())).collect();
    for (from, mut path) in paths {
        let is_passed_on =
            |path: &[String]| !files.contains_key(path) && passed_on.contains_key(path);
        while let Some(at) = (1..=path.len()).find(|at| is_passed_on(&path[..*at])) {
            path = [&passed_on[&path[..at]][..], &path[at..]].concat();
        }
        while !files.contains_key(&path) {
            path.pop();
        }
        if path != *from {
            arrows.entry(from.clone()).or_default().insert(path);
        }
    }
    arrows
}

/// Rooms are the crate's top-level modules; at depth 2 come the modules of each room, and at last single files.
#[test]
fn modules_of_the_crate_do_not_import_each_other_in_a_circle() {
    let files = arrows_of_the_crate();
    let counted: usize = files.values().map(BTreeSet::len).sum();
    assert!(counted > 250, "only {counted} imports were found");
    for depth in [1, 2, usize::MAX] {
        let upper = |module: &[String]| module[..module.len().min(depth)].to_vec();
        let mut arrows = Arrows::new();
        for (from, to) in files.iter().filter(|(from, _)| !from.is_empty()) {
            let from = upper(from);
            let to = to.iter().filter(|to| !to.is_empty()).map(|to| upper(to));
            let to: Vec<_> = to.filter(|to| *to != from).collect();
            arrows.entry(from).or_default().extend(to);
        }
        let found = circles(&arrows);
        assert!(found.is_empty(), "circles among:\n{}", found.join("\n"));
        // Any one import put the other way round as well is found.
        let (from, to) =
            arrows.iter().find_map(|(from, to)| Some((from, to.first()?))).expect("one");
        let (from, to) = (from.clone(), to.clone());
        arrows.entry(to).or_default().insert(from);
        assert!(!circles(&arrows).is_empty(), "a circle of two at depth {depth} is not found");
    }
}

/// The order that `lib.rs` gives is the one of the imports.
#[test]
fn rooms_of_the_crate_import_only_those_named_before_them() {
    let text = include_str!("../crates/rag/src/lib.rs");
    let order = text.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let order: Vec<&str> = order
        .expect("the order")
        .split(['<', '|', '\n', '/', '!', ' '])
        .filter(|s| !s.is_empty())
        .collect();
    let level = |module: &[String]| {
        let name = module.first().map_or("", String::as_str);
        order
            .iter()
            .position(|room| *room == name)
            .unwrap_or_else(|| panic!("\"{name}\" has no place"))
    };
    for (from, to) in arrows_of_the_crate().iter().filter(|(from, _)| !from.is_empty()) {
        for to in to.iter().filter(|to| !to.is_empty()) {
            assert!(level(to) <= level(from), "{} imports {}", from.join("::"), to.join("::"));
        }
    }
}

/// A statement is parsed under the extension's own search path. Whoever reaches SPI past the rooms that see to it would
/// let operators of the caller's path into it.
#[test]
fn statements_reach_spi_through_the_rooms_that_set_the_search_path() {
    const ROOMS: [&str; 8] = [
        "src/api/work.rs",               // connects the procedure
        "src/ingest/queue/job_count.rs", // two INSERTs as the extension's owner
        "src/ingest/trigger.rs",         // one INSERT as the extension's owner
        "src/sys/cursor.rs",
        "src/sys/plan/scans.rs", // reads plans that plan.rs made
        "src/sys/plan.rs",
        "src/sys/spi.rs",
        "src/sys/transaction.rs", // ends transactions
    ];
    let mut found: Vec<String> = Vec::new();
    for (path, text) in sources("src") {
        if code(&text).any(|(_, line)| line.contains("Spi::") || line.contains("SPI_")) {
            found.push(path);
        }
    }
    assert_eq!(found, ROOMS);
}

/// The install script's path is `pg_catalog`, where an object without a schema would be created.
#[test]
fn objects_of_the_install_script_are_created_in_a_schema_of_ours() {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        for (n, line) in code(&text) {
            let named = ["CREATE FUNCTION ", "CREATE PROCEDURE ", "COMMENT ON FUNCTION "]
                .iter()
                .find_map(|statement| line.trim_start().strip_prefix(statement));
            if named
                .is_some_and(|name| !name.starts_with("@extschema@.") && !name.starts_with("rag."))
            {
                found.push(format!("{path}:{n}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "without a schema:\n{}", found.join("\n"));
}

#[test]
fn the_error_type_depends_on_nothing_of_ours() {
    let text = include_str!("../crates/rag/src/error.rs");
    let uses: Vec<_> = code(text).filter(|(_, line)| line.contains("crate::")).collect();
    assert!(uses.is_empty(), "{uses:?}");
}

#[test]
fn unsafe_code_is_allowed_by_name_and_explained() {
    let mut found = Vec::new();
    let all = [sources("src"), sources("crates/rag/src"), sources("crates/rag-extract/src")];
    for (path, text) in all.concat() {
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in code(&text) {
            let is_block = line.contains("unsafe {") || line.contains("unsafe impl");
            let before = &lines[n.saturating_sub(8)..n];
            if is_block && !before.iter().any(|line| line.contains("SAFETY:")) {
                found.push(format!("{path}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "unsafe without a SAFETY comment:\n{}", found.join("\n"));
}

/// The program that parses files of others shares nothing with what runs in a server, and unsafe code is in few of its files.
#[test]
fn the_extractor_stands_alone() {
    let manifest = include_str!("../crates/rag-extract/Cargo.toml");
    let ours = manifest.lines().filter(|line| {
        ["rag ", "rag_pg ", "pgrx "].iter().any(|name| line.starts_with(name))
            || line.contains("path = \"..")
    });
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new());
    let is_unsafe = |text: &str| text.contains("#![allow(unsafe_code)]");
    let found = sources("crates/rag-extract/src").into_iter().filter(|(_, text)| is_unsafe(text));
    let found: Vec<String> = found.map(|(path, _)| path).collect();
    let allowed = ["confine.rs", "fatal.rs", "format/pdf/library.rs"];
    assert_eq!(found, allowed.map(|path| format!("crates/rag-extract/src/{path}")));
}

#[test]
fn statements_do_not_select_everything() {
    // What was released stays as it was.
    let is_ours = |(name, _): &(String, String)| !name.starts_with("sql/releases/");
    for (name, text) in files("sql", "sql").into_iter().filter(is_ours) {
        assert!(!text.to_uppercase().contains("SELECT *"), "{name} selects every column");
        assert!(text.trim_start().starts_with("--"), "{name} does not say who runs it");
    }
}

/// The bodies of all destructors in a text, with the line each begins in.
fn destructors(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let starts = (0..lines.len()).filter(|n| lines[*n].contains("fn drop(&mut self)"));
    let body = |n: usize| {
        let indent = lines[n].len() - lines[n].trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[n..].iter().position(|line| *line == end).unwrap_or(0);
        (n + 1, lines[n..n + length].join("\n"))
    };
    starts.map(body).collect()
}

/// An ERROR comes as an unwinding, after which the abort of the (sub)transaction cleans up. What a destructor gave back
/// would be given back twice, and a lock let go makes the count of reasons to hold interrupts wrap.
#[test]
fn destructors_leave_postgres_to_the_abort_after_an_error() {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        for (n, body) in destructors(&text) {
            if body.contains("pg_sys::") && !body.contains("std::thread::panicking()") {
                found.push(format!("{path}:{n}"));
            }
        }
    }
    assert!(found.is_empty(), "destructors that call PostgreSQL while an ERROR unwinds: {found:?}");
}

/// An ERROR in a function that pgrx does not wrap would jump over Rust's frames: `sys::ffi` alone declares such functions,
/// and calls each behind a guard. `tests/abi/abi.c` names each declaration.
#[test]
fn functions_that_pgrx_does_not_bind_are_declared_and_guarded_in_one_room() {
    let abi = include_str!("abi/abi.c");
    let mut declared = 0;
    for (path, text) in sources("src") {
        if path != "src/sys/ffi.rs" {
            assert!(!text.contains("extern \"C-unwind\" {"), "{path} declares functions of C");
            continue;
        }
        let block = text.split("unsafe extern \"C-unwind\" {").nth(1).expect("declarations");
        for line in block.split("\n    }").next().unwrap_or_default().lines() {
            let Some(rest) = line.trim_start().strip_prefix("pub fn ") else { continue };
            let name = rest.split('(').next().unwrap_or_default();
            let call = format!("c::{name}(");
            for (n, line) in code(&text).filter(|(_, line)| line.contains(&call)) {
                assert!(line.contains("pg_guard_ffi_boundary"), "{path}:{n}: {line}");
            }
            assert!(abi.contains(&format!(", {name});")), "tests/abi/abi.c does not check {name}");
            declared += 1;
        }
    }
    let is_function =
        |line: &&str| line.starts_with("SAME(") && line.contains(" (") && !line.contains("(*)");
    assert_eq!(
        declared,
        abi.lines().filter(is_function).count(),
        "tests/abi/abi.c compares others"
    );
    assert!(declared > 0, "declarations are found");
}

/// One room sets hooks. Hooks of other libraries are pointers that pgrx does not wrap; and the planner needs no hook of ours.
#[test]
fn hooks_are_set_in_one_room_and_call_those_of_other_libraries_behind_a_guard() {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        assert!(!text.contains("planner_hook"), "{path} hooks into the planner");
        let sets_hook = code(&text).any(|(_, line)| line.contains("_hook = Some"));
        assert_eq!(sets_hook, path == "src/sys/shmem.rs", "{path} sets a hook");
        for (n, line) in code(&text).filter(|(_, line)| line.contains("previous()")) {
            if !line.contains("pg_guard_ffi_boundary") {
                found.push(format!("{path}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "hooks without a guard:\n{}", found.join("\n"));
}

/// With `standard_conforming_strings` off a backslash in a plain literal means something else, and warns.
#[test]
fn statements_have_no_backslash_in_a_plain_literal() {
    for (path, text) in files("sql", "sql") {
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("--")) {
            let parts: Vec<&str> = line.split('\'').collect();
            // Every second part is a literal, and what stands before it says of which kind.
            let is_plain = |at: &usize| !parts[at - 1].ends_with('E') && parts[*at].contains('\\');
            let bad = (1..parts.len()).step_by(2).find(is_plain);
            assert!(bad.is_none(), "{path}:{}: {line}", n + 1);
        }
    }
}

/// Callbacks that run after a commit: an error is a PANIC there, and memory that is not to be had an error.
#[test]
fn what_commit_callbacks_call_allocates_nothing() {
    let state = include_str!("../src/sys/workers/shared_state.rs");
    let ring = include_str!("../src/models/call_log/ring.rs");
    let at_end = ring.find("fn at_end").map_or("", |at| &ring[at..]);
    let at_end = at_end.split("\n}").next().unwrap_or_default();
    assert!(at_end.contains("TAKEN_HERE"), "the callback of the ledger");
    for (n, line) in code(state).chain(code(at_end)) {
        for word in ["Vec", "collect(", "String", "format!", "Box", "clone(", "to_owned("] {
            assert!(!line.contains(word), "{n}: {line}");
        }
    }
}
