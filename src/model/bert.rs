//! BERT encoders and cross-encoders: `config.json` and weights in, ONNX graph out.
pub mod config;
pub mod graph;
pub mod quantize;
pub mod weights;

pub use config::Config;
pub use weights::Weights;
