//! `rag-extract`: a file on standard input, its pages as frames on standard output.
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use rag_extract::confine::{Limits, confine};
use rag_extract::{Failure, Format, Options, Pdfium, fatal, frames};

#[global_allocator]
static ALLOCATOR: fatal::Bounded = fatal::Bounded;

const USAGE: &str = "\
rag-extract reads a file from standard input and writes its pages to standard output.

Usage:
  rag-extract [OPTIONS] < FILE > FRAMES
  rag-extract --probe

Options:
  --format FORMAT      auto (the default) or one of those that --probe lists
  --name FILE_NAME     tells formats apart that the content leaves open
  --type MIME_TYPE     the same; may have a charset
  --password PASSWORD  of an encrypted file
  --max-pages N        refuse files with more pages (100000)
  --max-output BYTES   refuse files with more text (268435456)
  --max-memory BYTES   address space of the process (1073741824)
  --max-seconds N      processor time (60); four times as many may pass on the clock
  --probe              print version, formats and what the kernel offers, as JSON
";

struct Arguments {
    options: Options,
    limits: Limits,
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            return if io::stdout().write_all(USAGE.as_bytes()).is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(error) => {
            eprintln!("rag-extract: {error}\nTry \"rag-extract --help\".");
            return ExitCode::from(2);
        }
    };
    // Loading the library opens files, so it comes first; what other formats need is in the program.
    let pdfium = match arguments.options.format {
        None | Some(Format::Pdf) => Pdfium::load(),
        Some(_) => Err("it is not loaded for other formats".to_owned()),
    };
    let confinement = match confine(&arguments.limits) {
        Ok(confinement) => confinement,
        Err(error) => {
            eprintln!("rag-extract: could not confine the process: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.probe {
        let probe = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "formats": Format::ALL.map(Format::name),
            "pdfium": pdfium.is_ok(),
            "sandbox": {
                "limits": true,
                "no_new_privileges": true,
                "landlock": confinement.landlock,
                "seccomp": confinement.seccomp,
                "user_dropped": confinement.user_dropped,
            },
        });
        println!("{probe}");
        return ExitCode::SUCCESS;
    }
    // A reader that panics has met a file that it was not made for. What it would print is in the frame.
    std::panic::set_hook(Box::new(|_| {}));
    let options = arguments.options;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(Failure::damaged)?;
        rag_extract::extract(&bytes, &options, pdfium.as_ref().map_err(String::as_str))
    }));
    let result = result.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Failure::damaged(said.unwrap_or_else(|| "the reader gave up".to_owned())))
    });
    fatal::answering();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match frames::write(&mut out, &result).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The command line; `None` where help is wanted.
fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::{Long, Short, ValueExt};

    let mut options = Options::default();
    let mut limits = Limits { memory: 1 << 30, seconds: 60, output: 0 };
    let mut probe = false;
    let mut parser = lexopt::Parser::from_env();
    let text = |value: OsString| value.to_string_lossy().into_owned();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("format") => {
                let name = parser.value()?.string()?;
                options.format = match name.as_str() {
                    "auto" => None,
                    name => Some(Format::from_name(name).ok_or("unknown format")?),
                };
            }
            Long("name") => options.name = Some(text(parser.value()?)),
            Long("type") => options.mime = Some(text(parser.value()?)),
            Long("password") => options.password = Some(text(parser.value()?)),
            Long("max-pages") => options.max_pages = parser.value()?.parse()?,
            Long("max-output") => options.max_output = parser.value()?.parse()?,
            Long("max-memory") => limits.memory = parser.value()?.parse()?,
            Long("max-seconds") => limits.seconds = parser.value()?.parse()?,
            Long("probe") => probe = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    // JSON writes a control character in six bytes.
    limits.output = (options.max_output as u64).saturating_mul(6).saturating_add(1 << 20);
    Ok(Some(Arguments { options, limits, probe }))
}
