#!/usr/bin/env bash
# make try-packages: installs the packages of `make deb` in a fresh Debian system without Rust and compilers, runs README's first
# steps there, and purges them. Then does the same by the steps of docker/Dockerfile. Needs root, for mounts.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" -eq 0 ] || fail "make try-packages mounts directories, which needs root" "run: sudo make try-packages"
# Mounts and servers of our own end with this process.
[ -n "${RAG_PG_TRY:-}" ] || exec env RAG_PG_TRY=1 unshare -m --propagation private --pid --fork --kill-child bash "${BASH_SOURCE[0]}"
require_postgres
PACKAGES=$TARGET/deb/packages
SUITE=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
BASE=$CACHE/matrix/clean-$SUITE
compgen -G "$PACKAGES/*.deb" >/dev/null || fail "there are no packages in $PACKAGES" "run: make deb"

if [ ! -e "$BASE/etc/debian_version" ]; then
    step "a system with Debian's $SUITE in $BASE (some minutes, 300 MB)"
    mkdir -p "$BASE"
    require_debootstrap
    debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$BASE" "$(debian_archive)" >"$CACHE/matrix/clean.log" 2>&1 ||
        { rm -rf "$BASE" && fail "debootstrap failed; its messages are in $CACHE/matrix/clean.log" "mend what it says, then run the same command again"; }
fi
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-packages.XXXXXX")
ROOTFS=$WORK/root
trap 'umount -R "$ROOTFS" 2>/dev/null; umount "$WORK" 2>/dev/null; rmdir "$WORK" 2>/dev/null' EXIT
mount -t tmpfs tmpfs "$WORK"

# fresh: the system as debootstrap left it; what is written goes to memory.
fresh() {
    umount -R "$ROOTFS" 2>/dev/null || true
    rm -rf "$WORK"/{upper,work}
    mkdir -p "$WORK"/{upper,work,root}
    mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$WORK/upper,workdir=$WORK/work" "$ROOTFS"
    mount -t proc proc "$ROOTFS/proc"
    mount --rbind /dev "$ROOTFS/dev"
    cp /etc/resolv.conf "$ROOTFS/etc/resolv.conf"
    mkdir "$ROOTFS/packages"
    mount --bind "$PACKAGES" "$ROOTFS/packages"
    ! inside sh -c 'command -v cargo || command -v cc' || fail "the system has a compiler"
}

inside() {
    chroot "$ROOTFS" env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# as_postgres COMMAND...
as_postgres() { inside setpriv --reuid postgres --regid postgres --init-groups "$@"; }

# first_steps: the first SQL of README's "First steps", and what it should print.
first_steps() {
    local said
    said=$(awk '/^## First steps/ { on = 1 } on && /^```$/ { exit } text { print } on && /^```sql/ { text = 1 }' "$ROOT/README.md" |
        as_postgres psql -X -v ON_ERROR_STOP=1 2>&1) || { echo "$said" && fail "the first steps failed"; }
    grep -q 'ROLLBACK TO SAVEPOINT undoes' <<<"$said" && grep -q '"document_key"\|"key"' <<<"$said" ||
        { echo "$said" && fail "the first steps gave no answer with citations"; }
    tail -n 4 <<<"$said"
}

step "packages in a fresh $SUITE"
fresh
before=$(inside find /etc /usr /var/lib -xdev -path /var/lib/dpkg -prune -o -print | sort)
SECONDS=0
inside sh -c 'apt-get -q update && apt-get -q -y install --no-install-recommends /packages/*.deb' >"$WORK/log" 2>&1 || { tail -n 30 "$WORK/log" && fail "the packages do not install"; }
note "installed with PostgreSQL itself after $SECONDS s"
inside sh -c "echo \"shared_preload_libraries = 'rag_pg'\" >/etc/postgresql/$PG_MAJOR/main/conf.d/rag_pg.conf && pg_ctlcluster $PG_MAJOR main start"
first_steps
note "an answer with citations after $SECONDS s"
[ "$SECONDS" -lt 120 ] || note "that is more than two minutes"
printf 'Hello.\n' | inside rag-extract | grep -aq 'Hello' || fail "rag-extract does not work"
inside rag-extract --probe | grep -q '"pdfium": *true' || { inside rag-extract --probe && fail "rag-extract does not find pdfium"; }
as_postgres rag-report --output /tmp/report.html && inside grep -q '</html>' /tmp/report.html || fail "rag-report writes no page"

as_postgres psql -Xq -c 'DROP EXTENSION rag_pg CASCADE' 2>/dev/null
inside pg_ctlcluster "$PG_MAJOR" main stop
inside sh -c 'apt-get -q -y purge rag-pg "postgresql-*-rag-pg" rag-pg-model-minilm' >"$WORK/log" 2>&1 || { tail -n 30 "$WORK/log" && fail "the packages cannot be purged"; }
left=$(inside find / -xdev \( -iname '*rag[-_]pg*' -o -name 'rag-model*' -o -name 'rag-extract*' -o -name 'rag-report*' \) ! -path '/var/cache/*' ! -path '/var/lib/postgresql/*' ! -path "/etc/postgresql/$PG_MAJOR/main/conf.d/rag_pg.conf" ! -path '/var/log/*')
[ -z "$left" ] || fail "the purge left behind: $left"
note "purged, and nothing of it is left"

step "the steps of docker/Dockerfile"
fresh
# The image has PostgreSQL and its own way to start it; these are its parts that the steps use.
inside sh -c "apt-get -q update && apt-get -q -y install --no-install-recommends postgresql-$PG_MAJOR" >"$WORK/log" 2>&1
inside mkdir -p /docker-entrypoint-initdb.d
inside ln -s "/usr/share/postgresql/$PG_MAJOR/postgresql.conf.sample" /usr/share/postgresql/postgresql.conf.sample
# Lines that go on are one instruction; of RUN, what stands behind its options.
sed -e ':more' -e '/\\$/ { N; s/\\\n//; b more' -e '}' "$ROOT/docker/Dockerfile" | grep -E '^[A-Z]+ ' >"$WORK/steps"
while read -r instruction rest; do
    case $instruction in
    ARG | FROM) ;;
    RUN)
        while [[ $rest == --* ]]; do rest=${rest#* }; done
        inside sh -c "$rest" >"$WORK/log" 2>&1 </dev/null || { tail -n 30 "$WORK/log" && fail "a step failed: $rest"; }
        ;;
    COPY) read -r from to <<<"$rest" && install -m 644 "$ROOT/docker/$from" "$ROOTFS$to" ;;
    *) fail "docker/Dockerfile has a step that this script does not know: $instruction" ;;
    esac
done <"$WORK/steps"
# As the image's entry point does: a cluster, a server, the scripts.
as_postgres sh -c "/usr/lib/postgresql/$PG_MAJOR/bin/initdb -D /var/lib/postgresql/data && /usr/lib/postgresql/$PG_MAJOR/bin/pg_ctl -D /var/lib/postgresql/data -w -l /tmp/log start" >"$WORK/log" 2>&1 ||
    { tail -n 20 "$WORK/log" "$ROOTFS/tmp/log" && fail "the server of the container does not start"; }
for script in $(inside sh -c 'ls /docker-entrypoint-initdb.d/*.sql'); do as_postgres psql -Xq -v ON_ERROR_STOP=1 -f "$script"; done
as_postgres psql -Xqc 'DROP EXTENSION rag_pg CASCADE' # The first steps create it.
first_steps
as_postgres "/usr/lib/postgresql/$PG_MAJOR/bin/pg_ctl" -D /var/lib/postgresql/data -w -m fast stop >/dev/null
note "the container's steps answer too"
