//! Whether a graph keeps tensors in other files, found without decoding it: a copy of its weights would take as much
//! memory again.

/// Deepest graph in a graph, as protocol buffers' own readers allow.
const MAX_DEPTH: usize = 100;

/// Messages that hold tensors, by their names in `onnx.proto`.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Whether `graph`, the bytes of an ONNX file, names no other file. One that cannot be read does not count as such.
pub fn is_self_contained(graph: &[u8]) -> bool {
    is_contained(Message::Model, graph, 0).unwrap_or(false)
}

fn is_contained(message: Message, mut bytes: &[u8], depth: usize) -> Option<bool> {
    while !bytes.is_empty() {
        let (number, value) = field(&mut bytes)?;
        let inner = match (message, number) {
            (Message::Tensor, 13) => return Some(false), // external_data
            (Message::Tensor, 14) if !matches!(value, Value::Number(0)) => return Some(false),
            (Message::Model, 7) | (Message::Training, 1 | 2) | (Message::Attribute, 6 | 11) => {
                Message::Graph
            }
            (Message::Model, 20) => Message::Training,
            (Message::Model, 25) => Message::Function,
            (Message::Graph, 1) | (Message::Function, 7) => Message::Node,
            (Message::Node, 5) | (Message::Function, 11) => Message::Attribute,
            (Message::Graph, 5) | (Message::Attribute, 5 | 10) | (Message::SparseTensor, 1 | 2) => {
                Message::Tensor
            }
            (Message::Graph, 15) | (Message::Attribute, 22 | 23) => Message::SparseTensor,
            _ => continue,
        };
        let Value::Bytes(value) = value else { return None };
        if depth == MAX_DEPTH || !is_contained(inner, value, depth + 1)? {
            return Some(false);
        }
    }
    Some(true)
}

/// Takes the next field's number and value.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = number(bytes)?;
    let value = match key & 7 {
        0 => Value::Number(number(bytes)?),
        1 => bytes.split_off(..8).map(|_| Value::Other)?,
        2 => {
            let length = usize::try_from(number(bytes)?).ok()?;
            Value::Bytes(bytes.split_off(..length)?)
        }
        5 => bytes.split_off(..4).map(|_| Value::Other)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::onnx::proto;
    use prost::Message as _;

    fn model(tensor: proto::Tensor) -> proto::Model {
        let graph = proto::Graph { initializer: vec![tensor], ..proto::Graph::default() };
        proto::Model { ir_version: 8, graph: Some(graph), ..proto::Model::default() }
    }

    /// A field of bytes.
    fn wrapped(number: u8, bytes: &[u8]) -> Vec<u8> {
        let key = prost::encoding::encode_varint;
        let mut out = Vec::new();
        key(u64::from(number) << 3 | 2, &mut out);
        key(bytes.len() as u64, &mut out);
        out.extend(bytes);
        out
    }

    #[test]
    fn tensors_in_other_files_are_found_wherever_they_are() {
        let inside = proto::Tensor { raw_data: vec![1; 300], ..proto::Tensor::default() };
        assert!(is_self_contained(&model(inside.clone()).encode_to_vec()));
        let outside = proto::Tensor { data_location: 1, ..inside };
        assert!(!is_self_contained(&model(outside.clone()).encode_to_vec()));
        let tensor = outside.encode_to_vec();
        let external_data = wrapped(13, b"x");
        for tensor in [tensor, external_data] {
            for path in [
                vec![7, 5],
                vec![7, 15, 1],
                vec![7, 1, 5, 5],
                vec![7, 1, 5, 6, 5],
                vec![25, 7, 5, 10],
                vec![20, 1, 5],
                vec![7, 1, 5, 22, 2],
            ] {
                let graph = path.iter().rev().fold(tensor.clone(), |inner, n| wrapped(*n, &inner));
                assert!(!is_self_contained(&graph), "{path:?}");
            }
        }
    }

    #[test]
    fn a_malformed_graph_is_not_self_contained() {
        let whole = model(proto::Tensor { raw_data: vec![1; 300], ..proto::Tensor::default() });
        let bytes = whole.encode_to_vec();
        assert!(!is_self_contained(&bytes[..bytes.len() - 1]));
        assert!(!is_self_contained(&[0x0b]), "a group");
        let nested =
            (0..80).fold(Vec::new(), |inner, _| wrapped(1, &wrapped(5, &wrapped(6, &inner))));
        assert!(!is_self_contained(&wrapped(7, &nested)));
    }
}
