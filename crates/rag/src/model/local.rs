//! A model of files: its manifest and tokenizer, and its graph once something runs on it.
use super::manifest::{Manifest, ModelKind};
use super::session::{Session, SessionOptions};
use super::store::{DAMAGED_HINT, Located};
use super::tokenizer::Tokenizer;
use crate::{Error, Result};
use once_cell::unsync::OnceCell;
use std::cell::Cell;
use std::fmt::Write as _;

/// A local model. Counting tokens needs no graph, so that is read on the first run only.
pub struct LocalModel {
    manifest: Manifest,
    tokenizer: Tokenizer,
    located: Located,
    options: SessionOptions,
    session: OnceCell<Session>,
    /// [`Busy`] guards that live.
    busy: Cell<usize>,
}

/// While it lives, calls of a model leave their working memory to the next one.
pub struct Busy<'a>(&'a LocalModel);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.update(|guards| guards - 1);
        // An unwinding stack is no place to run a model.
        if !std::thread::panicking() {
            self.0.release_memory();
        }
    }
}

impl LocalModel {
    /// Reads and verifies manifest and tokenizer.
    pub fn open(located: Located, options: SessionOptions) -> Result<Self> {
        let manifest = located.manifest()?;
        let tokenizer = Tokenizer::from_bytes(&located.tokenizer(&manifest)?)
            .map_err(|error| error.with_hint(DAMAGED_HINT))?;
        let special = tokenizer.special_tokens();
        if manifest.max_tokens <= special {
            return Err(Error::configuration(format!(
                "the window of model \"{}\" has no room for text",
                manifest.name
            ))
            .with_detail(format!(
                "It is {} tokens, and {special} of them are special.",
                manifest.max_tokens
            ))
            .with_hint("Import the model with a larger window."));
        }
        Ok(Self {
            manifest,
            tokenizer,
            located,
            options,
            session: OnceCell::new(),
            busy: Cell::new(0),
        })
    }

    /// The model's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The model's own tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where it was opened from.
    pub fn located(&self) -> &Located {
        &self.located
    }

    /// How its graph is run.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// Fingerprint of what this process has loaded.
    pub fn fingerprint(&self) -> &str {
        &self.manifest.fingerprint
    }

    /// Most tokens of a text, special tokens not counted.
    pub fn window(&self) -> usize {
        self.manifest.max_tokens - self.tokenizer.special_tokens()
    }

    /// Whether the graph is in memory.
    pub fn is_loaded(&self) -> bool {
        self.session.get().is_some()
    }

    /// The graph, read and verified on the first call.
    pub fn session(&self) -> Result<&Session> {
        self.session.get_or_try_init(|| {
            let graph = self.located.graph(&self.manifest)?;
            Session::open(&graph, &self.manifest.signature, &self.options)
                .map_err(|e| self.cannot_load(e))
        })
    }

    /// For many calls in a row: giving memory back and faulting it in again costs some of each.
    pub fn busy(&self) -> Busy<'_> {
        self.busy.update(|guards| guards + 1);
        Busy(self)
    }

    /// Gives the memory of large runs back, unless more runs are on their way.
    pub(super) fn release_memory(&self) {
        if let Some(session) = self.session.get().filter(|_| self.busy.get() == 0) {
            session.release_memory();
        }
    }

    fn cannot_load(&self, error: Error) -> Error {
        if !super::runtime::is_loaded() {
            return error; // It speaks of ONNX Runtime, not of the model.
        }
        let mut detail = error.message().to_owned();
        if let Some(more) = error.detail() {
            let _ = write!(detail, ": {more}");
        }
        Error::configuration(format!("could not load model \"{}\"", self.manifest.name))
            .with_detail(detail)
            .with_hint("Import it again with the \"rag-model\" of this version.")
    }

    /// An error unless the model is of `kind`.
    pub fn require(&self, kind: ModelKind) -> Result<()> {
        if self.manifest.kind == kind {
            return Ok(());
        }
        let (is, wanted) = match kind {
            ModelKind::Embedder => ("a reranker", "an embedder"),
            ModelKind::Reranker => ("an embedder", "a reranker"),
        };
        let name = &self.manifest.name;
        Err(Error::wrong_type(format!("model \"{name}\" is {is}, not {wanted}"))
            .with_hint("The view rag.model lists the models and their kinds."))
    }
}
