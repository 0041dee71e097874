//! Embedding new chunks by a model that another server runs.
use crate::ingest::queue::lease::Lease;
use crate::models::call_log;
use crate::models::remote::Remote;
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::transaction::Host;
use rag::Error;
use rag::model::Purpose;
use rag::queue::plan::{Chunk, Embedded};
use rag::queue::spool::Spool;
use rag::remote::Embedder;
use std::borrow::Cow;

/// Embeds `chunks` in as many requests as it takes, several at once, and keeps the results under their
/// `positions` in the spool. What one request brought is kept when another fails: it is paid for. Returns which of
/// the chunks fail while others succeed.
///
/// No snapshot is held. A provider may take longer than a claim lasts, so claims are prolonged meanwhile.
pub fn embed(
    host: &Host,
    lease: &mut Lease,
    remote: &Remote,
    chunks: &[&Chunk],
    positions: &[usize],
    spool: &mut Spool,
) -> Result<Vec<(usize, Failed)>, Failed> {
    let mut lost = None;
    let result = host.outside(|| {
        let texts: Vec<Cow<'_, str>> = chunks.iter().map(|chunk| chunk.embedding_text()).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        pgrx::debug1!("rag_pg: remote call with {} texts", texts.len());
        let mut go_on = || {
            checkpoint()?;
            lease.renew_if_due(host).map_err(|failed| {
                lost = Some(failed);
                Error::cancelled()
            })
        };
        let made = Embedder(remote).embed_partly(&texts, Purpose::Document, &mut go_on)?;
        for (&position, embedding) in positions.iter().zip(made.embeddings) {
            if let Some(embedding) = embedding {
                spool.put(position, &Embedded { vector: embedding.vector, bits: None })?;
            }
        }
        Ok((made.rejected, made.fault))
    });
    call_log::store(host, &remote.take_records());
    keep_learnt(host, remote);
    match (lost, result) {
        (Some(failed), _) | (None, Err(failed)) => Err(failed),
        (None, Ok((_, Some(fault)))) => Err(Failed::of_call(fault)),
        (None, Ok((rejected, None))) => {
            let failed = rejected.into_iter().map(|(i, fault)| (i, Failed::of_call(fault)));
            Ok(failed.collect())
        }
    }
}

/// Writes down what was learnt of the model, whatever becomes of the call; a failure to do so is no reason to call again.
fn keep_learnt(host: &Host, remote: &Remote) {
    let written = host.transaction(|| {
        remote.keep_learnt();
        Ok(())
    });
    if let Err(failed) = written {
        failed.warn();
    }
}
