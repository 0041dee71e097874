//! A model that speaks on a thread of its own.
use crate::models::remote::Remote;
use crate::sys::{ffi, interrupt};
use rag::model::generator::{Conversation, Generated};
use rag::model::watch;
use rag::remote::{Cancel, Generator};
use rag::{Error, Result};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often interrupts are looked at meanwhile.
const POLL: Duration = Duration::from_millis(10);

/// What the model says.
pub enum Heard {
    /// A bit of its text.
    Text(String),
    /// It has ended, or failed.
    Said(Result<Generated>),
}

/// A turn of the model under way; dropped, it is cancelled.
pub struct Speaking {
    heard: Receiver<Heard>,
    cancel: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Speaking {
    /// Asks the model.
    pub fn start(remote: &Remote, conversation: Conversation) -> Result<Self> {
        // From here on there is another thread: pgrx must know which one is the main one.
        interrupt::checkpoint()?;
        let (sender, heard) = mpsc::channel();
        let (client, cancel) = (remote.shared(), Cancel::default());
        let cancelled = cancel.clone();
        let work = move || {
            let mut say = |text: &str| drop(sender.send(Heard::Text(text.to_owned())));
            let said = Generator(&client).stream(&conversation, &cancelled, &mut say);
            drop(sender.send(Heard::Said(said)));
        };
        Ok(Self { heard, cancel, thread: Some(watch::spawn(work)?) })
    }

    /// Waits for what is said next. The client gets what it was given before.
    pub fn hear(&mut self) -> Result<Heard> {
        if let Ok(heard) = self.heard.try_recv() {
            return Ok(heard);
        }
        ffi::flush_client();
        loop {
            match self.heard.recv_timeout(POLL) {
                Ok(heard) => return Ok(heard),
                Err(RecvTimeoutError::Timeout) => interrupt::checkpoint()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::model("the thread that asked the model ended early"));
                }
            }
        }
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.cancel.set();
        // At most the time in which a wait notices. A panic there was told as an error here.
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
