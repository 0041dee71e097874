//! README and reference name everything there is, and nothing that is not: functions, views, settings,
//! SQLSTATEs, pages. `tests/t/900_readme.pl` runs the README's SQL; `tests/documents.rs` checks links.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const README: &str = include_str!("../README.md");
const SETTINGS: &str = include_str!("../docs/reference/settings.md");
const ERRORS: &str = include_str!("../docs/reference/errors.md");
/// Every member of the extension, as the server lists them.
const MEMBERS: &str = include_str!("expected/api.out");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names and texts of the reference's pages.
fn pages() -> Vec<(String, String)> {
    let directory = fs::read_dir(root().join("docs/reference")).expect("a readable directory");
    let paths = directory.map(|entry| entry.expect("a readable entry").path());
    let page = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("UTF-8"))
    };
    paths.map(page).collect()
}

/// What follows each `prefix` in `text`, as far as it is a name.
fn names<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let after = text.match_indices(prefix).map(|(at, _)| &text[at + prefix.len()..]);
    after.map(|rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]).collect()
}

fn missing<'a>(names: impl IntoIterator<Item = &'a str>, text: &str) -> Vec<&'a str> {
    let is_named = |name: &str| text.contains(&format!("`{name}`"));
    names.into_iter().filter(|name| !is_named(name)).collect()
}

/// Functions and views that users call and read.
fn members() -> Vec<&'static str> {
    let functions = names(MEMBERS, "\nfunction ");
    // What the event trigger calls.
    let public = |name: &&str| name.starts_with("rag_") && *name != "rag_follow_ddl";
    let views = names(MEMBERS, "\nview ");
    functions.into_iter().filter(public).chain(views).collect()
}

/// Settings as the source defines them, but for those that only tests set.
fn settings() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("src/sys/guc")).expect("a readable directory") {
        let text = fs::read_to_string(entry.expect("a readable entry").path()).expect("UTF-8");
        let names =
            names(&text, "c\"rag_pg.").into_iter().filter(|name| !name.starts_with("debug"));
        found.extend(names.map(|name| format!("rag_pg.{name}")));
    }
    found
}

#[test]
fn the_readme_names_every_function_and_view() {
    let members = members();
    assert!(members.len() > 15, "{members:?}");
    assert_eq!(missing(members, README), Vec::<&str>::new());
}

#[test]
fn the_page_of_settings_names_every_setting() {
    let settings = settings();
    assert!(settings.len() > 8, "{settings:?}");
    assert_eq!(missing(settings.iter().map(String::as_str), SETTINGS), Vec::<&str>::new());
}

#[test]
fn the_reference_describes_every_function_and_setting() {
    let pages: String = pages().into_iter().map(|(_, text)| text).collect();
    let forms = |name: &str| [format!("{name}("), format!("`{name}`"), format!("## {name}\n")];
    let is_described = |name: &&str| forms(name).iter().any(|form| pages.contains(form));
    let undescribed: Vec<_> = members().into_iter().filter(|name| !is_described(name)).collect();
    assert_eq!(undescribed, Vec::<&str>::new());
    // Besides the list of all settings, a page says what each does.
    let others: String = self::pages()
        .into_iter()
        .filter(|(page, _)| page != "settings.md")
        .map(|(_, text)| text)
        .collect();
    assert_eq!(missing(settings().iter().map(String::as_str), &others), Vec::<&str>::new());
}

#[test]
fn what_is_named_exists() {
    let settings = settings();
    let known: BTreeSet<&str> = names(MEMBERS, "function ");
    for (page, text) in pages().into_iter().chain([("README.md".to_owned(), README.to_owned())]) {
        for name in names(&text, "`rag_pg.") {
            assert!(settings.iter().any(|s| s[7..] == *name), "{page} names rag_pg.{name}");
        }
        for name in names(&text, "SELECT rag_").into_iter().chain(names(&text, "FROM rag_")) {
            assert!(known.contains(format!("rag_{name}").as_str()), "{page} calls rag_{name}");
        }
    }
}

#[test]
fn the_readme_links_every_page_of_the_reference() {
    for (page, _) in pages() {
        assert!(README.contains(&format!("](docs/reference/{page}")), "{page} is not linked");
    }
}

#[test]
fn the_page_of_errors_lists_every_sqlstate() {
    let source = fs::read_to_string(root().join("crates/rag/src/error.rs")).expect("UTF-8");
    let states = names(&source, "=> \"");
    assert!(states.len() > 10, "{states:?}");
    // Workers keep to themselves what another changed meanwhile, and a cancel is PostgreSQL's own.
    let others = ["40001", "57014"];
    let unlisted: Vec<_> =
        states.into_iter().filter(|s| !ERRORS.contains(s) && !others.contains(s)).collect();
    assert_eq!(unlisted, Vec::<&str>::new());
}

#[test]
fn the_first_query_comes_soon() {
    let line = README.lines().position(|line| line == "```sql").expect("SQL");
    assert!(line < 60, "the first SQL stands in line {}", line + 1);
}

/// Files, and functions in them, that the documents for contributors name.
#[test]
fn documents_name_files_and_functions_that_exist() {
    let documents = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/formats.md", "docs/security.md"];
    let mut checked = 0;
    for document in documents {
        let text = fs::read_to_string(root().join(document)).expect("UTF-8");
        for span in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "crates/", "sql/", "tests/", "scripts/", "benches/", "fuzz/"];
            // A pattern or a placeholder is no path.
            if !is_path.iter().any(|start| span.starts_with(start))
                || span.contains(['*', '<', ' '])
            {
                continue;
            }
            let (path, function) = span.split_once(':').unwrap_or((span, ""));
            let found = root().join(path);
            assert!(found.exists(), "{document} names {path}");
            if !function.is_empty() {
                let source = fs::read_to_string(&found).expect("UTF-8");
                let is_there = source.contains(&format!("fn {function}("))
                    || source.contains(&format!("fn {function}<"));
                assert!(is_there, "{document} names {function} of {path}");
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} names were checked");
}
