//! Late interaction over token bits, and the fusion of scores.
//!
//! The default reranker needs no second model: the signs of a document's token vectors
//! ([`TokenBits`]), which fall out of embedding it, are compared with the query's token vectors
//! ([`MaxSim`]), and the result is fused with the other signals over the same candidates
//! ([`fuse`]). Models that score pairs implement [`crate::model::Reranker`].
mod bits;
mod fusion;
mod late_interaction;
mod lookup;
mod max_sim;

pub use bits::TokenBits;
pub use fusion::{MAX_SIM_WEIGHT, fuse, order, standard_scores};
pub(crate) use late_interaction::token_vectors;
pub use late_interaction::{cosine, embed_query, late_interaction, score_filled};
pub use max_sim::{MaxSim, max_sim};
