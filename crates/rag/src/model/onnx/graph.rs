//! Builds a graph node by node.
use super::proto::{
    Attribute, Dimension, Graph, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type,
    ValueInfo, attribute_type, data_type,
};
use prost::Message;

/// `LayerNormalization` became a standard operator in 17; the intermediate representation of that
/// time is 8. Every ONNX Runtime from 1.12 on loads both.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// A value inside a graph: an input, a constant or what a node computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

/// An attribute of a node.
#[derive(Debug, Clone, Copy)]
pub enum Attr<'a> {
    /// An integer.
    Int(&'static str, i64),
    /// A number.
    Float(&'static str, f32),
    /// A list of integers.
    Ints(&'static str, &'a [i64]),
}

/// One dimension of an input or output.
#[derive(Debug, Clone, Copy)]
pub enum Axis {
    /// A size known now.
    Fixed(usize),
    /// A size known when running; equal names are equal sizes.
    Named(&'static str),
}

/// A graph that grows.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self { graph: Graph { name: name.into(), ..Graph::default() } }
    }

    /// Declares an `int64` input.
    pub fn input(&mut self, name: &str, shape: &[Axis]) -> Value {
        self.graph.input.push(value_info(name, data_type::INT64, shape));
        Value(name.into())
    }

    /// Adds a node with one output.
    pub fn node(&mut self, op_type: &str, inputs: &[&Value], attributes: &[Attr]) -> Value {
        let [output] = self.node_with_outputs(op_type, inputs, attributes);
        output
    }

    /// Adds a node with `N` outputs.
    pub fn node_with_outputs<const N: usize>(
        &mut self,
        op_type: &str,
        inputs: &[&Value],
        attributes: &[Attr],
    ) -> [Value; N] {
        let name = format!("{op_type}_{}", self.graph.node.len());
        let outputs = std::array::from_fn(|i| Value(format!("{name}:{i}")));
        self.graph.node.push(Node {
            input: inputs.iter().map(|v| v.0.clone()).collect(),
            output: outputs.iter().map(|v| v.0.clone()).collect(),
            name,
            op_type: op_type.into(),
            attribute: attributes.iter().map(attribute).collect(),
        });
        outputs
    }

    /// A constant of `f32`; no dimensions make a scalar.
    pub fn float_constant(&mut self, name: &str, dims: &[usize], values: &[f32]) -> Value {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, data_type::FLOAT, dims, raw)
    }

    /// A constant of `int64`; no dimensions make a scalar.
    pub fn int64_constant(&mut self, name: &str, dims: &[usize], values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, data_type::INT64, dims, raw)
    }

    /// A constant of `int8`.
    pub fn int8_constant(&mut self, name: &str, dims: &[usize], values: &[i8]) -> Value {
        let raw = values.iter().map(|v| v.cast_unsigned()).collect();
        self.constant(name, data_type::INT8, dims, raw)
    }

    /// A constant of `uint8`.
    pub fn uint8_constant(&mut self, name: &str, dims: &[usize], values: &[u8]) -> Value {
        self.constant(name, data_type::UINT8, dims, values.to_vec())
    }

    /// A scalar of `uint8`.
    pub fn uint8_scalar(&mut self, name: &str, value: u8) -> Value {
        self.constant(name, data_type::UINT8, &[], vec![value])
    }

    /// A vector of `int64` that several nodes share: the same name gives the same constant.
    pub fn shared_int64(&mut self, name: &str, values: &[i64]) -> Value {
        self.existing_constant(name)
            .unwrap_or_else(|| self.int64_constant(name, &[values.len()], values))
    }

    /// A scalar that several nodes share: the same name gives the same constant.
    pub fn shared_float(&mut self, name: &str, value: f32) -> Value {
        self.existing_constant(name).unwrap_or_else(|| self.float_constant(name, &[], &[value]))
    }

    fn existing_constant(&self, name: &str) -> Option<Value> {
        self.graph.initializer.iter().any(|t| t.name == name).then(|| Value(name.into()))
    }

    fn constant(&mut self, name: &str, data_type: i32, dims: &[usize], raw: Vec<u8>) -> Value {
        self.graph.initializer.push(Tensor {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type,
            name: name.into(),
            raw_data: raw,
            data_location: 0,
        });
        Value(name.into())
    }

    /// Names `value` as a `float` output of the graph and ends it. Returns the file's bytes.
    pub fn finish(mut self, value: &Value, name: &str, shape: &[Axis]) -> Vec<u8> {
        let node = self.graph.node.iter_mut().find(|n| n.output.contains(&value.0));
        let output = node.and_then(|n| n.output.iter_mut().find(|o| **o == value.0));
        *output.expect("the output is computed by a node") = name.into();
        self.graph.output.push(value_info(name, data_type::FLOAT, shape));
        Model {
            ir_version: IR_VERSION,
            producer_name: "rag_pg".into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        }
        .encode_to_vec()
    }
}

fn attribute(attr: &Attr) -> Attribute {
    match *attr {
        Attr::Int(name, i) => Attribute {
            name: name.into(),
            i: Some(i),
            r#type: attribute_type::INT,
            ..Attribute::default()
        },
        Attr::Float(name, f) => Attribute {
            name: name.into(),
            f: Some(f),
            r#type: attribute_type::FLOAT,
            ..Attribute::default()
        },
        Attr::Ints(name, ints) => Attribute {
            name: name.into(),
            ints: ints.to_vec(),
            r#type: attribute_type::INTS,
            ..Attribute::default()
        },
    }
}

fn value_info(name: &str, elem_type: i32, shape: &[Axis]) -> ValueInfo {
    let dim = shape
        .iter()
        .map(|axis| match *axis {
            Axis::Fixed(n) => Dimension { dim_value: Some(n as i64), dim_param: None },
            Axis::Named(n) => Dimension { dim_value: None, dim_param: Some(n.into()) },
        })
        .collect();
    let tensor_type = Some(TensorType { elem_type, shape: Some(Shape { dim }) });
    ValueInfo { name: name.into(), r#type: Some(Type { tensor_type }) }
}
