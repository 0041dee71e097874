//! The house rules that a reader relies on: who may know PostgreSQL, where
//! unsafe code is, and which way modules depend on each other.
use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below `directory`, with its path from the repository's root and its text.
fn sources(directory: &str) -> Vec<(String, String)> {
    fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(directory), &mut files);
    files.sort();
    let relative = |path: &Path| path.strip_prefix(root).expect("below").display().to_string();
    files.iter().map(|path| (relative(path), fs::read_to_string(path).expect("UTF-8"))).collect()
}

fn is_glue(path: &str) -> bool {
    path == "src/pg.rs" || path.starts_with("src/pg/")
}

/// Lines that are code, numbered from 1: comments may name what code may not.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
    text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(is_code)
}

#[test]
fn only_the_glue_knows_postgres() {
    let mut found = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_glue(path)) {
        for (n, line) in code(text) {
            let is_magic = path == "src/lib.rs" && line.contains("pg_module_magic!");
            if (line.contains("pgrx") || line.contains("pg_sys")) && !is_magic {
                found.push(format!("{path}:{n}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "PostgreSQL outside src/pg:\n{}", found.join("\n"));
}

#[test]
fn domain_modules_do_not_depend_on_the_glue() {
    let mut found = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_glue(path)) {
        for (n, line) in code(text).filter(|(_, line)| line.contains("crate::pg")) {
            found.push(format!("{path}:{n}: {line}"));
        }
    }
    assert!(found.is_empty(), "dependencies that point the wrong way:\n{}", found.join("\n"));
}

/// A statement is parsed under the extension's own search path. Whoever reaches SPI past the rooms that see to it would
/// let operators of the caller's path into it.
#[test]
fn statements_reach_spi_through_the_rooms_that_set_the_search_path() {
    const ROOMS: [&str; 8] = [
        "src/pg/api/work.rs", // connects the procedure
        "src/pg/cursor.rs",
        "src/pg/plan/scans.rs", // reads plans that plan.rs made
        "src/pg/plan.rs",
        "src/pg/spi.rs",
        "src/pg/trigger.rs",          // one INSERT as the extension's owner
        "src/pg/worker/host.rs",      // ends transactions
        "src/pg/worker/job_count.rs", // two INSERTs as the extension's owner
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
    for (path, text) in sources("src/pg") {
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
    let text = include_str!("../src/error.rs");
    let uses: Vec<_> = code(text).filter(|(_, line)| line.contains("crate::")).collect();
    assert!(uses.is_empty(), "{uses:?}");
}

#[test]
fn unsafe_code_is_allowed_by_name_and_explained() {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
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

#[test]
fn statements_do_not_select_everything() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let files = ["", "run"].iter().flat_map(|below| fs::read_dir(directory.join(below)).unwrap());
    for path in files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let name = path.display();
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
    for (path, text) in sources("src/pg") {
        for (n, body) in destructors(&text) {
            if body.contains("pg_sys::") && !body.contains("std::thread::panicking()") {
                found.push(format!("{path}:{n}"));
            }
        }
    }
    assert!(found.is_empty(), "destructors that call PostgreSQL while an ERROR unwinds: {found:?}");
}

/// The functions of PostgreSQL that a text declares by hand, since pgrx does not bind them.
fn declared_functions(text: &str) -> Vec<&str> {
    let blocks = text.split("unsafe extern \"C-unwind\" {").skip(1);
    let body = |block: &'_ str| block.split("\n}").next().map_or(0, str::len);
    blocks
        .flat_map(|block| block[..body(block)].lines())
        .filter_map(|line| line.trim_start().strip_prefix("fn ")?.split('(').next())
        .collect()
}

/// An ERROR in a function that pgrx does not wrap would jump over Rust's frames.
#[test]
fn functions_declared_by_hand_are_called_behind_a_guard() {
    let mut found = Vec::new();
    for (path, text) in sources("src/pg") {
        let lines: Vec<&str> = text.lines().collect();
        for name in declared_functions(&text) {
            let call = format!("{name}(");
            for (n, line) in code(&text).filter(|(_, line)| line.contains(&call)) {
                let is_declaration = line.trim_start().starts_with("fn ");
                let around = lines[n.saturating_sub(2)..n].join(" ");
                if !is_declaration && !around.contains("pg_guard_ffi_boundary") {
                    found.push(format!("{path}:{n}: {}", line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "calls without a guard:\n{}", found.join("\n"));
}

/// Hooks of other libraries are pointers that pgrx does not wrap; and the planner needs no hook of ours.
#[test]
fn hooks_of_other_libraries_are_called_behind_a_guard() {
    let mut found = Vec::new();
    for (path, text) in sources("src/pg") {
        assert!(!text.contains("planner_hook"), "{path} hooks into the planner");
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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let files = ["", "run"].iter().flat_map(|below| fs::read_dir(directory.join(below)).unwrap());
    for path in files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("--")) {
            let parts: Vec<&str> = line.split('\'').collect();
            // Every second part is a literal, and what stands before it says of which kind.
            let is_plain = |at: &usize| !parts[at - 1].ends_with('E') && parts[*at].contains('\\');
            let bad = (1..parts.len()).step_by(2).find(is_plain);
            assert!(bad.is_none(), "{}:{}: {line}", path.display(), n + 1);
        }
    }
}

/// Callbacks that run after a commit: an error is a PANIC there, and memory that is not to be had an error.
#[test]
fn what_commit_callbacks_call_allocates_nothing() {
    let board = include_str!("../src/pg/worker/board.rs");
    let ring = include_str!("../src/pg/call_log/ring.rs");
    let at_end = ring.find("fn at_end").map_or("", |at| &ring[at..]);
    let at_end = at_end.split("\n}").next().unwrap_or_default();
    assert!(at_end.contains("TAKEN_HERE"), "the callback of the ledger");
    for (n, line) in code(board).chain(code(at_end)) {
        for word in ["Vec", "collect(", "String", "format!", "Box", "clone(", "to_owned("] {
            assert!(!line.contains(word), "{n}: {line}");
        }
    }
}
