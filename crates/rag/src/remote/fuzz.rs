//! The targets of [`crate::fuzz`] that need this module's private parts.
use super::call::read_stream;
use super::check;
use super::failure::CallFailure;
use super::provider::{self, Provider};
use super::retry::asked_pause;
use super::stream::StreamObserver;
use crate::model::generator::Generated;
use std::io::{self, Read};
use std::time::SystemTime;

/// Most bytes of a streamed response here.
const MAX_BYTES: u64 = 1 << 20;

fn providers() -> impl Iterator<Item = &'static dyn Provider> {
    provider::names().into_iter().filter_map(provider::by_name)
}

/// Gives so many bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.1).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

/// A streamed response is the same however it is cut, and its text is what was passed on.
pub fn stream(mut data: &[u8]) {
    let step = usize::from(data.split_off_first().copied().unwrap_or_default()).max(1);
    for provider in providers() {
        let read = |step: usize| -> Option<Generated> {
            let mut text = String::new();
            let mut say = |more: &str| text.push_str(more);
            let mut observer = StreamObserver::new(provider, "m".to_owned(), &mut say);
            observer.begin();
            let body = read_stream(Slow(data, step), MAX_BYTES, "m", &mut observer, None).ok()?;
            assert_eq!(body, data);
            let generated = observer.finish(&body).ok()?;
            assert_eq!(text, generated.text);
            Some(generated)
        };
        assert_eq!(read(step), read(usize::MAX), "of {}", provider.name());
    }
}

/// Responses and refusals of every provider.
pub fn replies(data: &[u8]) {
    for provider in providers() {
        if let Ok(vectors) = provider.vectors(data) {
            let count = vectors.vectors.len();
            if check::vectors(&vectors.vectors, count, None, "m").is_ok() {
                assert!(vectors.vectors.iter().flatten().all(|number| number.is_finite()));
            }
        }
        if let Ok(scores) = provider.scores(data) {
            for documents in [1, 3] {
                if let Ok(found) = check::scores(&scores, documents) {
                    assert_eq!(found.len(), documents);
                    assert!(found.iter().all(|score| score.is_finite()), "{found:?}");
                }
            }
        }
        let _ = provider.completion(data);
    }
    for status in [200, 400, 429, 500] {
        let failure = CallFailure::of_status("model \"m\"", status, data, None, None);
        assert!(failure.error.hint().is_some() && failure.error.detail().is_some());
    }
    let text = String::from_utf8_lossy(data);
    let header = |_: &str| Some(&*text);
    let _ = asked_pause(header, SystemTime::UNIX_EPOCH);
    let _ = asked_pause(
        |name| name.contains("reset").then_some(&*text).or(Some("0")),
        SystemTime::UNIX_EPOCH,
    );
}
