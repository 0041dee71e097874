#!/usr/bin/env bash
# clients.sh DIRECTORY: puts the drivers of docs/clients.md there for tests/t/150_clients.pl, and Grafana's types for 156_dashboard.pl. They come from PyPI, npm, crates.io and
# Debian's archive into the user's cache (410 MB, two minutes the first time); nothing of the system changes. What cannot
# be had is missing there, and the test skips its programs. scripts/test.sh runs this.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TO=$1
CLIENTS=$CACHE/clients

# fetched NAME PIN COMMAND...: runs the command in a new directory NAME of the cache, unless it was made by the same file PIN.
fetched() {
    local name=$1 pin=$2
    shift 2
    cmp -s "$pin" "$CLIENTS/$name/pin" && return
    note "downloading clients: $name"
    rm -rf "${CLIENTS:?}/$name"
    mkdir -p "$CLIENTS/$name"
    if (cd "$CLIENTS/$name" && "$@"); then
        cp "$pin" "$CLIENTS/$name/pin"
    else
        rm -rf "${CLIENTS:?}/$name"
        note "clients: $name cannot be had (messages are above); its programs are skipped"
    fi
}

# With the pip of any Python, for one that the servers' user can run: root's own may lie where nobody else looks.
python_clients() {
    local candidate python='' as_user=()
    [ "$(id -u)" -ne 0 ] || as_user=(runuser -u postgres --)
    for candidate in "$(command -v python3)" /usr/bin/python3; do
        ! "${as_user[@]}" "$candidate" -c '' 2>/dev/null || { python=$candidate && break; }
    done
    [ -n "$python" ] && echo "$python" >interpreter &&
        "${PYTHON:-python3}" -m pip --python "$python" install --quiet --only-binary :all: --no-deps --disable-pip-version-check \
            --no-warn-script-location --root-user-action ignore --target . --requirement "$ROOT/tests/clients/requirements.txt"
}

node_clients() {
    cp "$ROOT"/tests/clients/package*.json . && npm ci --ignore-scripts --no-audit --no-fund --silent
}

# debian_packages: PgBouncer and what it links, whose name depends on the distribution; the JDBC driver, where there is a Java to run it.
debian_packages() {
    echo pgbouncer
    # A system without lists of packages has none to name.
    { apt-cache depends pgbouncer 2>/dev/null || true; } | sed -n 's/^ *Depends: \(libevent-[^ ]*\|libc-ares[^ ]*\)$/\1/p'
    ! command -v javac >/dev/null || echo libpostgresql-jdbc-java
}

# Unpacked, not installed: an installed PgBouncer starts as a service.
debian_clients() {
    local package packages
    mapfile -t packages <"$TO/packages"
    apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" || return
    for package in *.deb; do dpkg-deb -x "$package" . || return; done
    rm -f ./*.deb
}

# rust_client: the program of docs/clients.md, built. Files that did not change keep their time, so that cargo builds nothing.
rust_client() {
    local to=$TARGET/clients
    mkdir -p "$to"
    awk '/^```/ { if (!inside) rust = ($0 == "```rust"); inside = !inside; next } inside && rust' docs/clients.md >"$to/new"
    cmp -s "$to/new" "$to/client.rs" || cp "$to/new" "$to/client.rs"
    cp --update "$ROOT"/tests/clients/rust/Cargo.* "$to/"
    if cargo build --quiet --locked --manifest-path "$to/Cargo.toml" --target-dir "$to/target"; then
        cp "$to/target/debug/client" "$TO/rust-client"
    else
        note "clients: the Rust program does not build (cargo's messages are above); it is skipped"
    fi
}

cd "$ROOT"
mkdir -p "$TO" "$CLIENTS"
fetched python tests/clients/requirements.txt python_clients
! command -v npm >/dev/null || fetched node tests/clients/package-lock.json node_clients
if command -v apt-get >/dev/null; then
    debian_packages >"$TO/packages"
    fetched debian "$TO/packages" debian_clients
fi
find_cargo
rust_client
cp -R "$CLIENTS/." "$TO/"
