//! `rag-model`: imports, fetches, lists and verifies models.
use rag::model::hub::{self, Snapshot};
use rag::model::import::source::ModelSource;
use rag::model::import::{self, Options};
use rag::model::install::{self, InstallOutcome};
use rag::model::inventory::{self, InstalledBuild};
use rag::model::manifest::{Manifest, ModelKind, Precision, check_name};
use rag::{Error, Result};
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
rag-model puts models where the PostgreSQL extension rag_pg reads them.

Usage:
  rag-model import SOURCE [--name NAME] [--fp32] [--models DIR]
      Import a model on disk. SOURCE is a directory as Hugging Face lays it out
      (config.json, model.safetensors, tokenizer.json ...), or a wheel or zip
      holding one. BERT encoders and cross-encoders become a graph with 8-bit
      weights, or 32-bit ones with --fp32. A model.onnx is taken as it is.
  rag-model pull OWNER/NAME [--revision REVISION] [--name NAME] [--fp32] [--models DIR]
      Fetch a model from a hub, check every file's hash, and import it.
  rag-model list [--json] [--models DIR]
      List what is installed.
  rag-model verify [NAME] [--models DIR]
      Read every file of one or all models again and compare hashes.

Options:
  --name NAME          What SQL calls the model. Default: the source's own name.
  --fp32               Keep 32-bit weights: twice the time, no rounding.
  --revision REVISION  A branch, tag or commit. Default: main.
  --models DIR         The models directory. Default: $RAG_PG_MODEL_PATH, or
                       /var/lib/rag_pg/models. The setting rag_pg.model_path
                       must name the same one.
  --json               One JSON object per line instead of a table.
  -h, --help           This text.
  -V, --version        The version.

Environment:
  HF_ENDPOINT  Address of the hub. Default: https://huggingface.co
  HF_TOKEN     Token for private or gated models. It is sent to the hub only.

Exit status: 0 done, 1 failed or damaged, 2 the command line is wrong.
";

const DEFAULT_MODELS: &str = "/var/lib/rag_pg/models";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Import,
    Pull,
    List,
    Verify,
}

/// The command line, parsed.
#[derive(Debug)]
struct Command {
    verb: Verb,
    operand: Option<String>,
    name: Option<String>,
    revision: String,
    precision: Precision,
    is_json: bool,
    models: PathBuf,
}

fn main() -> ExitCode {
    let command = match parse() {
        Ok(Some(command)) => command,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rag-model: {error}\nTry \"rag-model --help\".");
            return ExitCode::from(2);
        }
    };
    match run(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rag-model: {}", error.message());
            error.detail().into_iter().for_each(|detail| eprintln!("  {detail}"));
            error.hint().into_iter().for_each(|hint| eprintln!("  hint: {hint}"));
            ExitCode::FAILURE
        }
    }
}

/// Nothing when the command line only asked for help or version, which is then printed.
fn parse() -> Result<Option<Command>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut verb, mut operands) = (None, Vec::new());
    let (mut name, mut revision, mut is_json) = (None, None, false);
    let (mut precision, mut models) = (Precision::Int8, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(print(HELP)),
            Short('V') | Long("version") => {
                return Ok(print(concat!("rag-model ", env!("CARGO_PKG_VERSION"), "\n")));
            }
            Value(word) if verb.is_none() => verb = Some(known_verb(&word.string()?)?),
            Value(word) => operands.push(word.string()?),
            Long("models") => models = Some(PathBuf::from(parser.value()?)),
            Long("name") if adds(verb) => name = Some(parser.value()?.string()?),
            Long("fp32") if adds(verb) => precision = Precision::Fp32,
            Long("revision") if verb == Some(Verb::Pull) => {
                revision = Some(parser.value()?.string()?);
            }
            Long("json") if verb == Some(Verb::List) => is_json = true,
            other => return Err(other.unexpected()),
        }
    }
    let verb = verb.ok_or("a command is missing")?;
    let most = usize::from(verb != Verb::List);
    if operands.len() > most {
        return Err(format!("unexpected argument {:?}", operands[most]).into());
    }
    let operand = operands.pop();
    if operand.is_none() && adds(Some(verb)) {
        return Err("what to import is missing".into());
    }
    let models = models.or_else(|| std::env::var_os("RAG_PG_MODEL_PATH").map(PathBuf::from));
    Ok(Some(Command {
        verb,
        operand,
        name,
        revision: revision.unwrap_or_else(|| "main".into()),
        precision,
        is_json,
        models: models.unwrap_or_else(|| DEFAULT_MODELS.into()),
    }))
}

fn known_verb(word: &str) -> Result<Verb, lexopt::Error> {
    match word {
        "import" => Ok(Verb::Import),
        "pull" => Ok(Verb::Pull),
        "list" => Ok(Verb::List),
        "verify" => Ok(Verb::Verify),
        other => Err(format!("unknown command {other:?}").into()),
    }
}

fn adds(verb: Option<Verb>) -> bool {
    matches!(verb, Some(Verb::Import | Verb::Pull))
}

/// Prints; a closed pipe is the reader's business.
fn print(text: &str) -> Option<Command> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    None
}

/// Whether all is well.
fn run(command: &Command) -> Result<bool> {
    match (command.verb, command.operand.as_deref()) {
        (Verb::Import, Some(source)) => {
            let path = Path::new(source);
            let name = command.name.clone().map_or_else(|| name_of(path), Ok)?;
            check_name(&name)?;
            add(command, &ModelSource::open(path)?, name, source.to_owned())
        }
        (Verb::Pull, Some(model)) => pull(command, model),
        (Verb::List, _) => list(command),
        (_, name) => verify(command, name),
    }
}

/// A directory's name, or the first part of a wheel's.
fn name_of(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let file = absolute.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match file.strip_suffix(".whl") {
        Some(wheel) => wheel.split('-').next().unwrap_or(wheel),
        None => file.strip_suffix(".zip").unwrap_or(&file),
    };
    check_name(name).map_err(|e| {
        e.with_hint("Say how SQL shall call the model: --name NAME, of letters, digits, . _ and -.")
    })?;
    Ok(name.to_owned())
}

fn pull(command: &Command, model: &str) -> Result<bool> {
    hub::check_model(model)?;
    let own_name = model.rsplit('/').next().unwrap_or(model);
    let name = command.name.clone().unwrap_or_else(|| own_name.to_owned());
    check_name(&name)?;
    let settings = hub::HubSettings::from_environment();
    let origin = format!("{}/{model}", settings.endpoint);
    let snapshot = Snapshot::open(settings, model, &command.revision, progress())?;
    let origin = format!("{origin}@{}", snapshot.commit());
    add(command, &ModelSource::Hub(snapshot), name, origin)
}

/// On a terminal one line that changes, elsewhere a line per file.
fn progress() -> hub::Progress {
    let is_terminal = std::io::stderr().is_terminal();
    let shown = Cell::new(0);
    Box::new(move |file, received, size| {
        let is_done = size == Some(received);
        let megabytes = received >> 20;
        if is_terminal && (is_done || megabytes != shown.replace(megabytes)) {
            let size = size.map_or(String::new(), |n| format!(" of {}", megabytes_of(n)));
            eprint!("\r{file} {}{size}\x1b[K", megabytes_of(received));
        }
        if is_done {
            eprintln!("{}", if is_terminal { String::new() } else { format!("fetched {file}") });
        }
    })
}

fn add(command: &Command, source: &ModelSource, name: String, origin: String) -> Result<bool> {
    let options = Options { name, precision: command.precision, origin };
    let imported = import::import(source, &options)?;
    imported.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let manifest = &imported.manifest;
    if command.precision == Precision::Fp32 && manifest.precision == Precision::AsIs {
        eprintln!("note: the source's graph was taken as it is; --fp32 had no effect");
    }
    let what = format!("{}@{}", manifest.name, &manifest.fingerprint[..12]);
    match install::install(&command.models, &imported)? {
        InstallOutcome::Installed => println!("installed {what} in {}", command.models.display()),
        InstallOutcome::AlreadyInstalled => println!("{what} is installed already"),
        InstallOutcome::Repaired => println!("{what} was damaged and is installed again"),
    }
    println!("{}", described(manifest));
    Ok(true)
}

fn described(manifest: &Manifest) -> String {
    let Manifest { architecture, dimensions, max_tokens, .. } = manifest;
    let precision = precision(manifest.precision);
    match manifest.kind {
        ModelKind::Embedder => format!(
            "embedder, {architecture}, {dimensions} dimensions, {max_tokens} tokens, {precision}"
        ),
        ModelKind::Reranker => {
            format!("reranker, {architecture}, {max_tokens} tokens, {precision}")
        }
    }
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Int8 => "int8",
        Precision::Fp32 => "fp32",
        Precision::AsIs => "as-is",
    }
}

fn list(command: &Command) -> Result<bool> {
    let entries = inventory::list(&command.models)?;
    let lines: Vec<String> = if command.is_json {
        entries.iter().map(json).collect()
    } else {
        let mut rows = vec![
            ["NAME", "KIND", "DIMENSIONS", "TOKENS", "PRECISION", "SIZE", "FINGERPRINT", ""]
                .map(String::from),
        ];
        rows.extend(entries.iter().map(row));
        table(&rows)
    };
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A closed pipe ends the list, nothing else.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    if entries.is_empty() {
        eprintln!("no models in {}", command.models.display());
    }
    Ok(true)
}

fn row(entry: &InstalledBuild) -> [String; 8] {
    let state = if entry.is_current { "current" } else { "" };
    let short = entry.fingerprint.get(..12).unwrap_or(&entry.fingerprint).to_owned();
    match &entry.manifest {
        Ok(manifest) => [
            entry.name.clone(),
            kind(manifest.kind).into(),
            manifest.dimensions.to_string(),
            manifest.max_tokens.to_string(),
            precision(manifest.precision).into(),
            megabytes_of(entry.size),
            short,
            state.into(),
        ],
        Err(error) => {
            let unknown = || String::from("-");
            let state = format!("{state} damaged: {error}");
            let size = megabytes_of(entry.size);
            let [a, b, c, d] = [unknown(), unknown(), unknown(), unknown()];
            [entry.name.clone(), a, b, c, d, size, short, state.trim_start().to_owned()]
        }
    }
}

fn table(rows: &[[String; 8]]) -> Vec<String> {
    let widths: [usize; 8] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let line = |row: &[String; 8]| {
        let cells: Vec<_> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn json(entry: &InstalledBuild) -> String {
    let mut object = serde_json::json!({
        "name": entry.name,
        "fingerprint": entry.fingerprint,
        "is_current": entry.is_current,
        "path": entry.path,
        "bytes": entry.size,
    });
    match &entry.manifest {
        Ok(manifest) => object["manifest"] = serde_json::json!(manifest),
        Err(error) => object["error"] = error.to_string().into(),
    }
    object.to_string()
}

fn kind(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Embedder => "embedder",
        ModelKind::Reranker => "reranker",
    }
}

fn verify(command: &Command, name: Option<&str>) -> Result<bool> {
    let entries = match name {
        Some(name) => inventory::builds(&command.models, name)?,
        None => inventory::list(&command.models)?,
    };
    if let (Some(name), true) = (name, entries.is_empty()) {
        return Err(Error::undefined(format!("model \"{name}\" is not installed"))
            .with_hint("\"rag-model list\" shows what is."));
    }
    let mut is_intact = true;
    for entry in &entries {
        let what = format!("{}@{}", entry.name, entry.fingerprint.get(..12).unwrap_or_default());
        match inventory::check(&entry.path) {
            Ok(_) => println!("{what} ok"),
            Err(error) => {
                is_intact = false;
                println!("{what} damaged");
                eprintln!("rag-model: {error}");
                error.hint().into_iter().for_each(|hint| eprintln!("  hint: {hint}"));
            }
        }
    }
    if entries.is_empty() {
        eprintln!("no models in {}", command.models.display());
    }
    Ok(is_intact)
}

fn megabytes_of(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
