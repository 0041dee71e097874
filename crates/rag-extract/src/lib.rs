//! Files to Markdown-shaped pages.
//!
//! The program `rag-extract` confines itself, reads a file and writes its pages as frames. The
//! library has all of it but the command line, so that tests call it.
pub mod confine;
pub mod document;
pub mod failure;
pub mod fatal;
pub mod format;
pub mod frames;

mod archive;
mod charset;
mod detect;
mod markdown;
mod tree;

pub use detect::Format;
pub use document::{Document, Options, Page};
pub use failure::{Class, Failure};
pub use format::{extract, pdf::Pdfium};
