//! ONNX graphs: the part of the protocol buffer format that transformer encoders need, and a builder.
//!
//! Only standard operators are written, so that any ONNX Runtime of the last years loads the file;
//! the runtime fuses what it can by itself.
pub mod external;
pub mod graph;
pub mod proto;
