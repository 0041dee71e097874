//! A response that a model streams, read on a thread of its own.
use crate::models::remote::Remote;
use crate::sys::{ffi, interrupt};
use rag::model::generator::{Conversation, Generated};
use rag::model::watch;
use rag::remote::{Cancel, Generator};
use rag::{Error, Result};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often interrupts are checked meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// An event of the response.
pub enum StreamEvent {
    /// A delta of its text.
    Delta(String),
    /// Its end, or an error.
    End(Result<Generated>),
}

/// A response under way; dropping it cancels the call.
pub struct Response {
    events: Receiver<StreamEvent>,
    cancel: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Response {
    /// Calls the model.
    pub fn start(remote: &Remote, conversation: Conversation) -> Result<Self> {
        // Claims the main thread for pgrx before there is another one.
        interrupt::checkpoint()?;
        let (sender, events) = mpsc::channel();
        let (client, cancel) = (remote.shared(), Cancel::default());
        let cancelled = cancel.clone();
        let work = move || {
            let mut sink = |text: &str| drop(sender.send(StreamEvent::Delta(text.to_owned())));
            let end = Generator(&client).stream_kept(&conversation, &cancelled, &mut sink);
            drop(sender.send(StreamEvent::End(end)));
        };
        Ok(Self { events, cancel, thread: Some(watch::spawn(work)?) })
    }

    /// Waits for the next event. Rows that were returned before are sent to the client first.
    pub fn next_event(&mut self) -> Result<StreamEvent> {
        // Also while the model is faster than this: its deltas are copied here.
        interrupt::checkpoint()?;
        if let Ok(event) = self.events.try_recv() {
            return Ok(event);
        }
        ffi::flush_client();
        loop {
            match self.events.recv_timeout(POLL_INTERVAL) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) => interrupt::checkpoint()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::model("the thread that asked the model ended early"));
                }
            }
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.cancel.set();
        // The thread notices within its poll interval. A panic of it was received as an error.
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
