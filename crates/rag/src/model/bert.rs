//! Encoders and cross-encoders of the BERT family: `config.json` and weights in, ONNX graph out.
pub mod config;
pub mod graph;
pub mod names;
pub mod quantize;
pub mod weights;

pub use config::Config;
pub use weights::Weights;
