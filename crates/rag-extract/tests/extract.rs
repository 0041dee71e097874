//! Each file of the corpus through the program itself.
mod corpus;

use corpus::{cases, failures, run};

#[test]
fn pages_headings_tables_and_phrases_are_found() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let run = run(&case.bytes, &case.arguments);
        let mut miss = |what: String| wrong.push(format!("{}: {what}", case.name));
        if run.class() != "ok" {
            miss(format!("{} {:?} {:?}", run.class(), run.crash, run.frames.last()));
            continue;
        }
        let document = &run.frames[0]["document"];
        let end = &run.frames[run.frames.len() - 1]["end"];
        if document["format"] != case.format {
            miss(format!("its format is {}", document["format"]));
        }
        let counted =
            if case.counted { serde_json::json!(case.pages) } else { serde_json::Value::Null };
        if document["pages"] != counted
            || run.pages().len() != case.pages
            || end["pages"] != case.pages
        {
            miss(format!("{} pages, {} told", run.pages().len(), document["pages"]));
        }
        let lines = case.headings.iter().chain(&case.rows);
        for (page, line) in
            lines.filter(|(page, line)| !run.content(*page).lines().any(|other| other == *line))
        {
            miss(format!("no line {line:?} on page {page}:\n{}", run.content(*page)));
        }
        for (page, text) in
            case.phrases.iter().filter(|(page, text)| !run.content(*page).contains(text))
        {
            miss(format!("no {text:?} on page {page}:\n{}", run.content(*page)));
        }
        for text in &case.lacks {
            if let Some(page) = (1..=case.pages).find(|page| run.content(*page).contains(text)) {
                miss(format!("{text:?} on page {page}:\n{}", run.content(page)));
            }
        }
        for (key, value) in
            case.metadata.iter().filter(|(key, value)| document["metadata"][key] != *value)
        {
            miss(format!("{key} is {}, not {value:?}", document["metadata"][key]));
        }
        for (page, key, value) in &case.page_metadata {
            let found = run.pages().get(page - 1).map(|page| page["metadata"][key].clone());
            if found.as_ref().is_none_or(|found| found != value) {
                miss(format!("{key} of page {page} is {found:?}, not {value:?}"));
            }
        }
        let characters: usize =
            (1..=case.pages).map(|page| run.content(page).chars().count()).sum();
        if end["characters"] != characters {
            miss(format!("{characters} characters, {} told", end["characters"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    assert!(cases.len() >= 60, "{} files", cases.len());
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let mut wrong = Vec::new();
    for refused in failures() {
        let run = run(&refused.bytes, &refused.arguments);
        if run.class() != refused.class {
            wrong.push(format!(
                "{}: {}, not {}: {:?} {:?}",
                refused.name,
                run.class(),
                refused.class,
                run.crash,
                run.frames.last()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a caller asks before it relies on the program.
#[test]
fn the_probe_tells_formats_and_confinement() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rag-extract"))
        .arg("--probe")
        .output()
        .expect("rag-extract");
    let probe: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(probe["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(probe["pdfium"], true);
    assert_eq!(probe["sandbox"]["limits"], true);
    assert_eq!(probe["sandbox"]["seccomp"], true);
    assert!(
        probe["formats"]
            .as_array()
            .is_some_and(|formats| formats.iter().any(|format| format == "docx"))
    );
}

#[test]
fn a_wrong_command_line_is_told_on_standard_error() {
    for arguments in [&["--nonsense"][..], &["--format", "word"], &["--max-pages", "many"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rag-extract"))
            .args(arguments)
            .output()
            .expect("rag-extract");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}
