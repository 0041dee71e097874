//! Weights by name out of `model.safetensors`, checked for shape and turned into `f32`.
use crate::{Error, Result};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A matrix, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// `rows * columns` values.
    pub data: Vec<f32>,
}

impl Matrix {
    /// Rows become columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for column in 0..self.columns {
            data.extend((0..self.rows).map(|row| self.data[row * self.columns + column]));
        }
        Self { rows: self.columns, columns: self.rows, data }
    }
}

/// An affine map as it is saved: `weight` is `[out, in]`, `bias` is `[out]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// One row per output.
    pub weight: Matrix,
    /// One value per output.
    pub bias: Vec<f32>,
}

/// The tensors of a file, under the prefix its author saved them with.
pub struct Weights<'a> {
    tensors: SafeTensors<'a>,
    prefix: String,
}

impl<'a> Weights<'a> {
    /// Reads the file's header and checks that it describes the whole file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(Error::configuration("model.safetensors is only a pointer of git LFS")
                .with_hint("Run \"git lfs pull\" in the model's clone, then import again."));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| {
            Error::configuration("model.safetensors is damaged or truncated")
                .with_detail(e.to_string())
                .with_hint("Fetch the file again and compare its sha256 with its publisher's.")
        })?;
        let anchor = "embeddings.word_embeddings.weight";
        let prefix = tensors
            .names()
            .into_iter()
            .filter_map(|name| name.strip_suffix(anchor))
            .min_by_key(|prefix| prefix.len())
            .ok_or_else(|| missing(anchor))?
            .to_owned();
        Ok(Self { tensors, prefix })
    }

    /// Whether the encoder has a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.tensor(&format!("{}{name}", self.prefix)).is_ok()
    }

    /// The matrix `name` of the encoder.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        let data = self.read(&format!("{}{name}", self.prefix), &[rows, columns])?;
        Ok(Matrix { rows, columns, data })
    }

    /// The vector `name` of the encoder.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.read(&format!("{}{name}", self.prefix), &[length])
    }

    /// The affine map `name` of the encoder, from `inputs` to `outputs` values.
    pub fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"), outputs, inputs)?,
            bias: self.vector(&format!("{name}.bias"), outputs)?,
        })
    }

    /// An affine map beside the encoder, such as a classifier.
    pub fn head(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let data = self.read(&format!("{name}.weight"), &[outputs, inputs])?;
        Ok(Linear {
            weight: Matrix { rows: outputs, columns: inputs, data },
            bias: self.read(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.tensors.tensor(name).map_err(|_| missing(name))?;
        if tensor.shape() != shape {
            return Err(Error::configuration(format!(
                "tensor \"{name}\" has shape {:?} where config.json makes it {shape:?}",
                tensor.shape()
            ))
            .with_hint("config.json and model.safetensors are of different models."));
        }
        let values = values(name, &tensor)?;
        if values.iter().all(|v| v.is_finite()) {
            return Ok(values);
        }
        Err(Error::configuration(format!("tensor \"{name}\" holds values that are no numbers")))
    }
}

fn missing(name: &str) -> Error {
    Error::configuration(format!("model.safetensors has no tensor \"{name}\""))
        .with_hint("The weights are incomplete or of another architecture than config.json says.")
}

fn values(name: &str, tensor: &TensorView) -> Result<Vec<f32>> {
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => Ok(elements(data, f32::from_le_bytes)),
        Dtype::F16 => Ok(elements(data, |b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Ok(elements(data, |b| bf16::from_le_bytes(b).to_f32())),
        other => {
            Err(Error::unsupported(format!("tensor \"{name}\" has elements of type {other:?}"))
                .with_hint("Supported are F32, F16 and BF16."))
        }
    }
}

fn elements<const N: usize>(data: &[u8], decode: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks::<N>().0.iter().map(|&chunk| decode(chunk)).collect()
}
