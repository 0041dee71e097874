//! (query, document) pairs to scores with a local cross-encoder.
use super::batch::BatchPlan;
use super::embedder::TOKEN_BUDGET;
use super::local::LocalModel;
use super::manifest::{Activation, ModelKind};
use super::session::Batch;
use super::tokenizer::Input;
use super::{Checkpoint, Reranker};
use crate::{Error, Result};

impl LocalModel {
    /// Each pair as the graph takes it; only documents are cut to the window.
    fn pairs(
        &self,
        query: &str,
        documents: &[&str],
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Input>> {
        if self.tokenizer().count(query)? == 0 {
            return Err(Error::invalid_argument("the query holds no token")
                .with_hint("Pass a query with at least one word."));
        }
        let mut encode = |document: &&str| {
            checkpoint()?;
            let (document, _) = self.beginning(document, checkpoint)?;
            self.tokenizer().encode_pair(query, &document, self.manifest().max_tokens)
        };
        documents.iter().map(&mut encode).collect()
    }
}

impl Reranker for LocalModel {
    fn rerank(
        &self,
        query: &str,
        documents: &[&str],
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<f32>> {
        self.require(ModelKind::Reranker)?;
        let pairs = self.pairs(query, documents, checkpoint)?;
        let lengths: Vec<usize> = pairs.iter().map(|pair| pair.ids.len()).collect();
        let mut scores = vec![0.0; pairs.len()];
        for positions in BatchPlan::new(&lengths, TOKEN_BUDGET).batches() {
            let inputs: Vec<&Input> = positions.iter().map(|&i| &pairs[i]).collect();
            let batch = Batch::new(&inputs, self.tokenizer().pad_id());
            let output = self.session()?.run(&batch, checkpoint)?;
            if output.data().len() != positions.len() {
                return Err(self.wrong_shape(&output.shape(), &[positions.len(), 1]));
            }
            for (&i, &score) in positions.iter().zip(output.data()) {
                if !score.is_finite() {
                    return Err(Error::model(format!(
                        "model \"{}\" returned a score that is not finite",
                        self.manifest().name
                    )));
                }
                scores[i] = match self.manifest().activation {
                    Activation::Identity => score,
                    Activation::Sigmoid => 1.0 / (1.0 + (-score).exp()),
                };
            }
        }
        self.release_memory();
        Ok(scores)
    }
}
