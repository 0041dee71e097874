//! One ONNX graph ready to run on token ids.
use super::manifest::Signature;
use super::tokenizer::Input;
use super::watch::{run_watched, with_signals_blocked};
use super::{Checkpoint, runtime};
use crate::{Error, Result, memory};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{RunOptions, SessionInputValue};
use ort::value::{Tensor, TensorRef};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How to run graphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Absolute path of `libonnxruntime.so`.
    pub library: PathBuf,
    /// Threads per run, at least 1. With 1 no thread is started.
    pub threads: usize,
    /// A run expected to take longer than this is watched from the calling thread, so that the
    /// caller's checkpoint is reached in the middle.
    pub watch_after: Duration,
}

impl SessionOptions {
    /// One thread, and runs of more than 100 ms watched.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self { library: library.into(), threads: 1, watch_after: Duration::from_millis(100) }
    }
}

/// First guess of a graph's pace, in seconds per token and byte of graph: a 23 MB int8 graph takes
/// about 75 µs a token on one thread of a server of 2023. Doubled, to err towards watching.
const GUESSED_PACE: f64 = 6.5e-12;

/// Runs of fewer tokens say little about the pace of large ones.
const MIN_MEASURED_TOKENS: f64 = 128.0;

/// Runs of fewer tokens leave little memory behind.
const MIN_RELEASED_TOKENS: usize = 512;

/// A loaded graph. It is never released: ONNX Runtime's destructors must not run in a process forked
/// after loading.
pub struct Session {
    inner: RefCell<ManuallyDrop<ort::session::Session>>,
    signature: Signature,
    watch_after: Duration,
    /// Seconds per token, padding included, as last measured.
    pace: Cell<f64>,
    /// Tokens of the largest run since memory was given back.
    largest: Cell<usize>,
}

/// Inputs of one run, padded to the longest: three row-major `[rows, width]` tensors.
#[derive(Debug)]
pub struct Batch {
    rows: usize,
    width: usize,
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
}

impl Batch {
    /// Lays out `inputs`, which must not be empty, padding with `pad_id`.
    pub fn new(inputs: &[&Input], pad_id: u32) -> Self {
        let rows = inputs.len();
        let width = inputs.iter().map(|input| input.ids.len()).max().unwrap_or(0);
        let mut batch = Self {
            rows,
            width,
            ids: vec![i64::from(pad_id); rows * width],
            mask: vec![0; rows * width],
            types: vec![0; rows * width],
        };
        for (row, input) in inputs.iter().enumerate() {
            let cells = row * width..row * width + input.ids.len();
            batch.mask[cells.clone()].fill(1);
            for (cell, (&id, &type_id)) in cells.zip(input.ids.iter().zip(&input.type_ids)) {
                batch.ids[cell] = i64::from(id);
                batch.types[cell] = i64::from(type_id);
            }
        }
        batch
    }

    /// Tokens of a row, padding included.
    pub fn width(&self) -> usize {
        self.width
    }
}

/// A float tensor that a graph returned, in ONNX Runtime's own memory: megabytes that are not copied.
#[derive(Debug)]
pub struct Output(Tensor<f32>);

impl Output {
    /// Its dimensions; the first is the batch's rows.
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().iter().map(|&n| usize::try_from(n).unwrap_or_default()).collect()
    }

    /// Its elements, row-major.
    pub fn data(&self) -> &[f32] {
        self.0.extract_tensor().1
    }
}

impl Session {
    /// Loads `graph`, the bytes of an ONNX file with the inputs and the output of `signature`.
    pub fn open(graph: &[u8], signature: &Signature, options: &SessionOptions) -> Result<Self> {
        let environment = runtime::environment(&options.library)?;
        let load = || -> ort::Result<ort::session::Session> {
            ort::session::Session::builder(environment)?
                .with_intra_threads(options.threads)?
                .with_inter_threads(1)?
                // A pool that spins while it waits would take the processor from other backends.
                .with_intra_op_spinning(false)?
                .with_inter_op_spinning(false)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .commit_from_memory(graph)
        };
        let inner = with_signals_blocked(load).map_err(|e| {
            if is_out_of_memory(&e) {
                return memory::out_of_memory();
            }
            Error::configuration("ONNX Runtime could not load the graph").with_detail(one_line(&e))
        })?;
        let inner = ManuallyDrop::new(inner);
        check_signature(&inner, signature)?;
        Ok(Self {
            inner: RefCell::new(inner),
            signature: signature.clone(),
            watch_after: options.watch_after,
            pace: Cell::new(graph.len() as f64 * GUESSED_PACE),
            largest: Cell::new(0),
        })
    }

    /// Runs the graph. Calls `checkpoint` before, and every 10 ms while a run that is expected to
    /// take longer than [`SessionOptions::watch_after`] lasts; a checkpoint that fails or unwinds ends the run.
    pub fn run(&self, batch: &Batch, checkpoint: Checkpoint<'_>) -> Result<Output> {
        checkpoint()?;
        let options = RunOptions::new().map_err(|e| failed(&e))?;
        self.largest.set(self.largest.get().max(batch.rows * batch.width));
        let tokens = (batch.rows * batch.width) as f64;
        let mut session = self
            .inner
            .try_borrow_mut()
            .map_err(|_| Error::model("a model was called while it was running"))?;
        let session: &mut ort::session::Session = &mut session;
        let signature = &self.signature;
        let started = Instant::now();
        let mut work = || run_once(session, signature, batch, &options);
        let result = if Duration::from_secs_f64(self.pace.get() * tokens) < self.watch_after {
            work()
        } else {
            let stop = || {
                let _ = options.terminate();
            };
            run_watched(work, stop, checkpoint)?
        };
        if result.is_ok() && tokens >= MIN_MEASURED_TOKENS {
            self.note_pace(started.elapsed().as_secs_f64() / tokens);
        }
        result.map_err(|e| failed(&e))
    }

    /// Gives the memory of large runs back to the system: tens of megabytes, which every session of a
    /// connection pool would keep otherwise. ONNX Runtime does so at the end of a run that asks for
    /// it; this is one of a single token. Small runs need little and are not worth it.
    pub fn release_memory(&self) {
        if self.largest.replace(0) < MIN_RELEASED_TOKENS {
            return;
        }
        let input = Input { ids: vec![0], type_ids: vec![0], text: 0..0, token_count: 0 };
        let batch = Batch::new(&[&input], 0);
        let released = RunOptions::new().and_then(|mut options| {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
            Ok(options)
        });
        if let (Ok(options), Ok(mut session)) = (released, self.inner.try_borrow_mut()) {
            // A failure shows in the next run whose result is wanted.
            let _ = run_once(&mut session, &self.signature, &batch, &options);
            memory::trim();
        }
    }

    /// Takes slower runs at once and faster ones gradually: too much watching costs little.
    fn note_pace(&self, measured: f64) {
        let known = self.pace.get();
        self.pace.set(measured.max(known + (measured - known) * 0.3));
    }
}

/// The names and tensors a run is fed with.
fn feed<'a>(
    signature: &'a Signature,
    batch: &'a Batch,
) -> impl Iterator<Item = (&'a str, &'a [i64])> {
    let types = signature.token_type_ids.as_deref().map(|name| (name, &batch.types[..]));
    [(&signature.input_ids[..], &batch.ids[..]), (&signature.attention_mask[..], &batch.mask[..])]
        .into_iter()
        .chain(types)
}

fn run_once(
    session: &mut ort::session::Session,
    signature: &Signature,
    batch: &Batch,
    options: &RunOptions,
) -> ort::Result<Output> {
    let inputs = feed(signature, batch)
        .map(|(name, data)| {
            let tensor = TensorRef::from_array_view(([batch.rows, batch.width], data))?;
            Ok((Cow::Borrowed(name), SessionInputValue::from(tensor)))
        })
        .collect::<ort::Result<Vec<_>>>()?;
    let mut outputs = session.run_with_options(inputs, options)?;
    let output =
        outputs.remove(&signature.output).expect("outputs were checked when it was loaded");
    Ok(Output(output.downcast()?))
}

/// Indexing outputs by an unknown name would panic, so names are checked once here.
fn check_signature(session: &ort::session::Session, signature: &Signature) -> Result<()> {
    let inputs = [
        Some(&signature.input_ids),
        Some(&signature.attention_mask),
        signature.token_type_ids.as_ref(),
    ];
    let has_inputs = inputs
        .into_iter()
        .flatten()
        .all(|name| session.inputs().iter().any(|input| input.name() == name));
    if has_inputs && session.outputs().iter().any(|output| output.name() == signature.output) {
        return Ok(());
    }
    Err(Error::configuration("the graph has other inputs and outputs than its manifest says"))
}

fn failed(error: &ort::Error) -> Error {
    if is_out_of_memory(error) {
        return memory::out_of_memory();
    }
    Error::model("the model failed while it ran").with_detail(one_line(error))
}

/// ONNX Runtime has no code of its own for it.
fn is_out_of_memory(error: &ort::Error) -> bool {
    ["bad_alloc", "Failed to allocate memory", "bad allocation"]
        .iter()
        .any(|words| error.message().contains(words))
}

fn one_line(error: &ort::Error) -> String {
    error.message().lines().next().unwrap_or_default().trim().to_owned()
}
