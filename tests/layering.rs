//! The house rules that a reader relies on: who may know PostgreSQL, how long a file gets, where
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
        "src/pg/plan.rs",
        "src/pg/plan/scans.rs", // reads plans that plan.rs made
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

#[test]
fn the_error_type_depends_on_nothing_of_ours() {
    let text = include_str!("../src/error.rs");
    let uses: Vec<_> = code(text).filter(|(_, line)| line.contains("crate::")).collect();
    assert!(uses.is_empty(), "{uses:?}");
}

#[test]
fn files_stay_short() {
    let long: Vec<_> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|directory| sources(directory))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > 420)
        .collect();
    assert!(long.is_empty(), "files past 400 lines: {long:?}");
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
