//! Small files of every format, made here, and what has to come of each.
// Each test program that includes this uses a part of it, and files are written out at length.
#![allow(dead_code, clippy::format_collect, clippy::too_many_lines, clippy::many_single_char_names)]
mod cases;
mod failures;
mod pdf;
mod zipped;

pub use cases::cases;
#[allow(unused_imports)]
pub use failures::failures;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A file and what is expected of it. Pages count from 1; texts are whole lines where they are
/// headings or rows of tables, and parts of the content otherwise.
#[derive(Clone, Default)]
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub arguments: Vec<&'static str>,
    pub format: &'static str,
    pub pages: usize,
    /// Whether the format counts pages.
    pub counted: bool,
    pub headings: Vec<(usize, &'static str)>,
    pub rows: Vec<(usize, &'static str)>,
    pub phrases: Vec<(usize, &'static str)>,
    pub lacks: Vec<&'static str>,
    /// Entries of the document's metadata, and of a page's.
    pub metadata: Vec<(&'static str, &'static str)>,
    pub page_metadata: Vec<(usize, &'static str, &'static str)>,
}

/// What the program said.
pub struct Run {
    pub frames: Vec<Value>,
    /// Bytes on standard output.
    pub bytes: usize,
    /// How it ended, where it was not with an exit code of 0 or the output is no frames.
    pub crash: Option<String>,
}

impl Run {
    /// The class of the failure, or `ok`.
    pub fn class(&self) -> String {
        match (&self.crash, self.frames.last()) {
            (Some(_), _) => "crashed".to_owned(),
            (None, Some(last)) if last.get("end").is_some() => "ok".to_owned(),
            (None, Some(last)) => last["error"]["class"].as_str().unwrap_or("none").to_owned(),
            (None, None) => "none".to_owned(),
        }
    }

    pub fn pages(&self) -> Vec<&Value> {
        self.frames.iter().filter(|frame| frame.get("page").is_some()).collect()
    }

    pub fn content(&self, page: usize) -> &str {
        self.pages().get(page - 1).and_then(|page| page["content"].as_str()).unwrap_or_default()
    }
}

/// Runs the program over a file.
pub fn run(bytes: &[u8], arguments: &[&str]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rag-extract"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rag-extract");
    let mut stdin = child.stdin.take().expect("its input");
    let output = std::thread::scope(|scope| {
        // One that ends early does not read all.
        scope.spawn(move || drop(stdin.write_all(bytes)));
        child.wait_with_output().expect("its output")
    });
    let mut crash = match (output.status.code(), output.status.signal()) {
        (Some(0), _) => None,
        (code, signal) => Some(format!(
            "code {code:?}, signal {signal:?}, {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    };
    let mut frames = Vec::new();
    let mut rest = output.stdout.as_slice();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        match behind.get(..length).and_then(|frame| serde_json::from_slice(frame).ok()) {
            Some(frame) => frames.push(frame),
            None => break,
        }
        rest = &behind[length..];
    }
    if !rest.is_empty() && crash.is_none() {
        crash = Some("its output is no frames".to_owned());
    }
    Run { frames, bytes: output.stdout.len(), crash }
}
