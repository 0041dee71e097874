//! `rag-report`: one HTML page about the collections of a database.
mod database;
mod html;
mod page;
mod plot;

use database::Database;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
rag-report writes one HTML page about the collections of rag_pg in a database:
coverage, quality, latency, cost, and what was not found.

Usage:
  rag-report [OPTION]... [CONNECTION]

CONNECTION is a database's name or a connection string, as psql takes it.
PGHOST, PGSERVICE, ~/.pgpass and the like hold.

Options:
  -c, --collection NAME  Report on this collection only. May be repeated.
  -q, --questions TABLE  Measure by the questions of this table, which has columns
                         question and relevant. Default: the feedback in the query log.
  -k NUMBER              How many documents count. Default: 10.
      --recall NUMBER    Compare the vector index with an exact scan for so many
                         questions. Default: 50; 0 does not.
  -o, --output FILE      Default: rag-report.html. - is standard output.
  -h, --help             This text.
  -V, --version          The version.

Exit status: 0 written, 1 failed, 2 the command line is wrong.
";

/// The command line, parsed.
struct Options {
    connection: Option<String>,
    collections: Vec<String>,
    questions: String,
    k: u32,
    recall: u32,
    output: String,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rag-report: {error}\nTry: rag-report --help");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rag-report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        connection: None,
        collections: Vec::new(),
        questions: String::new(),
        k: 10,
        recall: 50,
        output: "rag-report.html".to_owned(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('c') | Long("collection") => options.collections.push(parser.value()?.string()?),
            Short('q') | Long("questions") => options.questions = parser.value()?.string()?,
            Short('k') => options.k = parser.value()?.parse()?,
            Long("recall") => options.recall = parser.value()?.parse()?,
            Short('o') | Long("output") => options.output = parser.value()?.string()?,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            Short('V') | Long("version") => {
                println!("rag-report {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            Value(value) if options.connection.is_none() => {
                options.connection = Some(value.string()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<(), String> {
    let database = Database::new(options.connection.as_deref());
    let page = page::page(&database, options)?;
    if options.output == "-" {
        print!("{page}");
        return Ok(());
    }
    let path = Path::new(&options.output);
    std::fs::write(path, page).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
