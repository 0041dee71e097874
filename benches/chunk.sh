#!/usr/bin/env bash
# Chunking against the text-splitter crate. Its arguments are passed on to cargo.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} \
    cargo run --quiet --release --manifest-path benches/chunk/Cargo.toml "$@"
