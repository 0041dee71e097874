//! The sum that enters the first layer: word, token type, position.
use super::{Attr, Config, Matrix, TO_FLOAT, Tokens, Value, Weights, Writer, quantize};
use crate::Result;

impl Writer<'_> {
    /// `[tokens, hidden_size]`.
    pub(super) fn embeddings(&mut self, weights: &Weights, tokens: &Tokens) -> Result<Value> {
        let Config { hidden_size, vocab_size, type_vocab_size, .. } = *self.config;
        let word = self.words(&table(weights, "word", vocab_size, hidden_size)?, &tokens.ids);
        let sum = match &tokens.types {
            None => word,
            Some(types) => {
                let rows = table(weights, "token_type", type_vocab_size, hidden_size)?;
                let rows = self.matrix("embeddings.token_type", &rows);
                let kind = self.graph.op("Gather", &[&rows, types], &[]);
                self.graph.op("Add", &[&word, &kind], &[])
            }
        };
        let positions = self.positions(weights)?;
        let positions = self.matrix("embeddings.position", &positions);
        let length = self.graph.op("Shape", &[&tokens.ids], &[Attr::Int("start", 1)]);
        let zero = self.graph.integers_once("zero", &[0]);
        let position = self.graph.op("Slice", &[&positions, &zero, &length, &zero], &[]);
        let sum = self.graph.op("Add", &[&sum, &position], &[]);
        let sum = self.flat(&sum);
        self.normalize(weights, "embeddings.LayerNorm", &sum)
    }

    /// The position table from the first token's row on. Texts are padded at their end, so a token's
    /// row is its place. Where there is one token type only, its row is added here once.
    fn positions(&self, weights: &Weights) -> Result<Matrix> {
        let Config { hidden_size, max_position_embeddings, .. } = *self.config;
        let mut positions = table(weights, "position", max_position_embeddings, hidden_size)?;
        positions.data.drain(..self.config.first_position()? * hidden_size);
        positions.rows = self.config.positions()?;
        if !self.config.has_types()? && weights.has("embeddings.token_type_embeddings.weight") {
            let kind = table(weights, "token_type", self.config.type_vocab_size, hidden_size)?;
            for row in positions.data.chunks_exact_mut(hidden_size) {
                row.iter_mut().zip(&kind.data).for_each(|(value, add)| *value += add);
            }
        }
        Ok(positions)
    }

    /// The words' rows; half of a small model's weights are here, so they are 8 bits, too.
    fn words(&mut self, table: &Matrix, ids: &Value) -> Value {
        if !self.is_int8 {
            let table = self.matrix("embeddings.word", table);
            return self.graph.op("Gather", &[&table, ids], &[]);
        }
        let quantized = quantize::by_row(table);
        let dims = [table.rows, table.columns];
        let rows = self.graph.bytes("embeddings.word", &dims, &quantized.data);
        let scales =
            self.graph.floats("embeddings.word.scales", &[table.rows, 1], &quantized.scales);
        let row = self.graph.op("Gather", &[&rows, ids], &[]);
        let row = self.graph.op("Cast", &[&row], &[TO_FLOAT]);
        let scale = self.graph.op("Gather", &[&scales, ids], &[]);
        self.graph.op("Mul", &[&row, &scale], &[])
    }
}

fn table(weights: &Weights, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
    weights.matrix(&format!("embeddings.{name}_embeddings.weight"), rows, columns)
}
