//! Has the program `rag-extract` extract the text of a file, within the limits of the settings.
use crate::sys::child::{self, End, Program, Reading, Report};
use crate::sys::guc;
use crate::sys::limit;
use rag::Result;
use rag::extract::{Class, Extracted, Failure, Limits, Reader};
use std::cell::Cell;

/// Environment of a program that the administrator chose.
const OCR_ENVIRONMENT: [(&str, &str); 2] =
    [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")];

/// Most bytes of an argument of a program.
const ARGUMENT: usize = 4_096;

/// A file and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    pub bytes: &'a [u8],
    /// Its format, `auto` where that is to be found.
    pub format: &'a str,
    pub name: Option<&'a str>,
    /// Its MIME type.
    pub media_type: Option<&'a str>,
    pub password: Option<&'a str>,
    /// How many of its first pages are wanted; `None` for all.
    pub max_pages: Option<u32>,
    /// Whether pictures of text are recognized.
    pub with_ocr: bool,
}

/// Told of a file's pages that were extracted, and how many there are where that is known; an error ends the program.
pub type Checkpoint<'a> = &'a mut dyn FnMut(usize, Option<u32>) -> Result<()>;

/// Extracts the text of a file. The outer error is no fault of the file's: a cancel, or a program that does not run.
pub fn extract(file: &File<'_>, checkpoint: Checkpoint<'_>) -> Result<Result<Extracted, Failure>> {
    if let Err(error) = limit::file_size(file.bytes.len()) {
        return Ok(Err(Failure { class: Class::TooLarge, error }));
    }
    match parse(file, checkpoint)? {
        Err(failure) if failure.class == Class::NoText && file.with_ocr => {
            recognize(file, failure, checkpoint)
        }
        extracted => Ok(extracted),
    }
}

/// Runs the program that parses files.
fn parse(file: &File<'_>, checkpoint: Checkpoint<'_>) -> Result<Result<Extracted, Failure>> {
    let limits = Limits {
        first: file.max_pages.map(|most| most as usize),
        ..Limits::of_text(guc::limit::max_document_size())
    };
    let path = guc::extract::program();
    let program = Program {
        path: &path,
        arguments: arguments(file, limits),
        environment: &[],
        input: file.bytes,
        time: guc::extract::timeout(),
        memory: memory_for(file),
        is_trusted: false,
    };
    let (mut reader, mut refusal) = (Reader::new(limits), None);
    let progress = Cell::new((0, None));
    let read = |bytes: &[u8]| {
        if let Err(failure) = reader.push(bytes) {
            refusal = Some(failure);
            return Reading::Refused;
        }
        progress.set(reader.progress());
        if reader.has_enough() {
            return Reading::Refused;
        }
        if reader.is_done() { Reading::IsDone } else { Reading::GoesOn }
    };
    let report = run(&program, read, &progress, checkpoint)?;
    if let Some(failure) = refusal {
        return Ok(Err(failure));
    }
    if reader.has_enough() {
        return Ok(reader.finish());
    }
    match report.end {
        // Where it has told nothing, what it wrote to standard error may.
        End::Exited(0) => Ok(reader.finish().map_err(|failure| match failure.error.detail() {
            Some(detail) if failure.class == Class::Crashed => {
                let detail = format!("{detail} {}", report.complaint);
                failure.with_detail(&detail)
            }
            _ => failure,
        })),
        _ => Ok(Err(ended(&report))),
    }
}

fn arguments(file: &File<'_>, limits: Limits) -> Vec<String> {
    let given = [
        ("--format", Some(file.format.to_owned())),
        ("--name", file.name.map(clipped)),
        ("--type", file.media_type.map(clipped)),
        ("--password", file.password.map(clipped)),
        ("--max-output", Some(limits.text.to_string())),
        ("--max-memory", Some(memory_for(file).to_string())),
        ("--max-seconds", Some(guc::extract::timeout().as_secs().to_string())),
    ];
    let each = |(name, value): (&str, Option<String>)| value.map(|value| [name.to_owned(), value]);
    given.into_iter().filter_map(each).flatten().collect()
}

/// An argument of a program has a limit of the system's.
fn clipped(text: &str) -> String {
    text[..text.floor_char_boundary(ARGUMENT)].to_owned()
}

/// Most bytes of address space: the file is held once, whatever its size.
fn memory_for(file: &File<'_>) -> u64 {
    guc::extract::memory() + file.bytes.len() as u64
}

/// Has the administrator's program recognize the text of a file in which `failure` found none.
fn recognize(
    file: &File<'_>,
    failure: Failure,
    checkpoint: Checkpoint<'_>,
) -> Result<Result<Extracted, Failure>> {
    let command = guc::extract::ocr_program();
    let Some((path, arguments)) = command.split_first() else { return Ok(Err(failure)) };
    let program = Program {
        path,
        arguments: arguments.to_vec(),
        environment: &OCR_ENVIRONMENT,
        input: file.bytes,
        time: guc::extract::timeout(),
        memory: memory_for(file),
        is_trusted: true,
    };
    let most = guc::limit::max_document_size();
    let mut output = Vec::new();
    let read = |bytes: &[u8]| {
        if output.len() + bytes.len() > most {
            return Reading::Refused;
        }
        output.extend_from_slice(bytes);
        Reading::GoesOn
    };
    let report = run(&program, read, &Cell::new((0, None)), checkpoint)?;
    match report.end {
        End::Exited(0) => {
            let extracted = Extracted::recognized(&String::from_utf8_lossy(&output));
            Ok(if extracted.is_blank() { Err(failure) } else { Ok(extracted) })
        }
        End::Killed => Ok(Err(Class::TooLarge.failure(""))),
        _ => Ok(Err(ended(&report))),
    }
}

fn run(
    program: &Program<'_>,
    read: impl FnMut(&[u8]) -> Reading,
    progress: &Cell<(usize, Option<u32>)>,
    checkpoint: Checkpoint<'_>,
) -> Result<Report> {
    let report = child::run(program, read, || {
        let (pages, of) = progress.get();
        checkpoint(pages, of)
    });
    report.map_err(|error| {
        if error.hint().is_some() || error.is_cancelled() {
            return error;
        }
        error.with_hint(
            "Install it with \"make install\", or set rag_pg.extract_program or rag_pg.ocr_program.",
        )
    })
}

/// The failure of a program that did not end as it should.
fn ended(report: &Report) -> Failure {
    let said = &report.complaint;
    match report.end {
        End::TimedOut | End::Signaled(libc::SIGXCPU) => {
            let seconds = guc::extract::timeout().as_secs();
            let detail =
                format!("It was ended after {seconds} s, which is rag_pg.extract_timeout.");
            Class::Timeout.failure("").with_detail(&detail)
        }
        End::Signaled(signal) => {
            let detail = format!("It was ended by signal {signal}. {said}");
            Class::Crashed.failure("").with_detail(&detail)
        }
        End::Exited(status) => {
            let detail = format!("It ended with status {status}. {said}");
            Class::Crashed.failure("").with_detail(&detail)
        }
        End::Killed => {
            let detail = format!("It did not end by itself. {said}");
            Class::Crashed.failure("").with_detail(&detail)
        }
    }
}
