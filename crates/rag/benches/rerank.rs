//! MaxSim of 12 query tokens with 50 chunks of 200 tokens at 384 dimensions: the shipped look-up
//! tables beside the ways they were chosen over. Prints the median of many runs of each.
use rag::model::TokenVectors;
use rag::rerank::{MaxSim, TokenBits};
use std::hint::black_box;
use std::time::Instant;

const DIMENSIONS: usize = 384;
const QUERY_TOKENS: usize = 12;
const CHUNKS: usize = 50;
const CHUNK_TOKENS: usize = 200;

fn main() {
    // `cargo test` runs benches too, with `--test`: compiling is all it asks for.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let query = vectors(QUERY_TOKENS, 1);
    let chunks: Vec<TokenVectors> =
        (0..CHUNKS).map(|chunk| vectors(CHUNK_TOKENS, 2 + chunk as u64)).collect();
    let bits: Vec<TokenBits> = chunks.iter().map(TokenBits::of).collect();

    println!("MaxSim, {QUERY_TOKENS} query tokens x {CHUNKS} chunks x {CHUNK_TOKENS} tokens");
    report("look-up tables (shipped)", "<= 1.8 ms", 201, || {
        MaxSim::new(&query, &bits, &mut || Ok(())).expect("same dimensions").contrasted()
    });
    report("bit planes, 8 bits, popcount", "", 21, || bit_planes(&query, &bits));
    report("naive over full vectors", "", 5, || chunks.iter().map(|c| naive(&query, c)).collect());
}

fn report(what: &str, bar: &str, runs: usize, mut run: impl FnMut() -> Vec<f32>) {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("figure\tMaxSim, {what}\t{:.2} ms\t{bar}", times[runs / 2]);
}

/// Unit vectors from a linear congruential generator: the time does not depend on the values.
fn vectors(tokens: usize, seed: u64) -> TokenVectors {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut data: Vec<f32> = (0..tokens * DIMENSIONS)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    for row in data.chunks_exact_mut(DIMENSIONS) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in row.iter_mut() {
            *x /= length;
        }
    }
    TokenVectors { dimensions: DIMENSIONS, data }
}

fn naive(query: &TokenVectors, document: &TokenVectors) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let best = |q: &[f32]| {
        document.data.chunks_exact(DIMENSIONS).map(|d| dot(q, d)).fold(f32::MIN, f32::max)
    };
    query.data.chunks_exact(DIMENSIONS).map(best).sum()
}

/// The query in eight bit planes, each met by AND and popcount: what RaBitQ-like codes do.
fn bit_planes(query: &TokenVectors, documents: &[TokenBits<'_>]) -> Vec<f32> {
    const WORDS: usize = DIMENSIONS / 64;
    let planes: Vec<([[u64; WORDS]; 8], i32, f32)> = query
        .data
        .chunks_exact(DIMENSIONS)
        .map(|row| {
            let largest = row.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            let step = 2.0 * largest / 255.0;
            let codes: Vec<u8> = row.iter().map(|x| ((x + largest) / step).round() as u8).collect();
            let mut planes = [[0; WORDS]; 8];
            for (k, code) in codes.iter().enumerate() {
                for (bit, plane) in planes.iter_mut().enumerate() {
                    plane[k / 64] |= u64::from(code >> bit & 1) << (k % 64);
                }
            }
            (planes, codes.iter().map(|&code| i32::from(code)).sum(), step)
        })
        .collect();
    documents
        .iter()
        .map(|document| {
            let rows: Vec<[u64; WORDS]> = document
                .as_bytes()
                .chunks_exact(DIMENSIONS / 8)
                .map(|row| {
                    std::array::from_fn(|word| {
                        u64::from_le_bytes(row[word * 8..][..8].try_into().expect("eight bytes"))
                    })
                })
                .collect();
            planes
                .iter()
                .map(|(planes, total, step)| {
                    let best = rows.iter().map(|row| weighted_ones(planes, row)).max();
                    (2 * best.unwrap_or(0) - total) as f32 * step
                })
                .sum()
        })
        .collect()
}

fn weighted_ones<const WORDS: usize>(planes: &[[u64; WORDS]; 8], row: &[u64; WORDS]) -> i32 {
    planes
        .iter()
        .enumerate()
        .map(|(bit, plane)| {
            let ones: u32 = plane.iter().zip(row).map(|(a, b)| (a & b).count_ones()).sum();
            (ones << bit) as i32
        })
        .sum()
}
