#!/usr/bin/env bash
# make test: every test there is, in order of cost: lint, unit, regress, hostile, isolation, tap. A failing
# kind does not keep the later ones from running. The last line counts everything; the exit code is
# 0 only if nothing failed.
#
# Servers run a debug build of the extension, in a copy of PostgreSQL that goes with the run: what is installed is
# neither used nor changed.
#
#   ONLY="regress tap"   only these kinds
#   TESTS="chunk embed"  only the tests of these words (files of that name, Rust tests matching it)
#   ACCEPT=1             take what the regression and isolation tests print as expected from now on
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TESTS=${TESTS:-}
ONLY=${ONLY:-${TESTS:+unit regress isolation tap}}
ONLY=${ONLY:-lint unit regress hostile isolation tap}
PASSED=0 FAILED=0 SKIPPED=0

# count KIND PASSED FAILED SKIPPED STATUS: adds a kind's figures. A kind that ended badly without
# naming a failed test, or ran nothing at all, counts as one failure: silence is not success.
count() {
    local kind=$1 passed=$2 failed=$3 skipped=$4 status=$5
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
        note "$kind ended with status $status"
    elif [ $((passed + failed + skipped)) -eq 0 ] && [ -z "$TESTS" ]; then
        failed=1
        note "$kind ran no test"
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    printf '    %s: %d passed, %d failed, %d skipped (%d s)\n' "$kind" "$passed" "$failed" "$skipped" $((SECONDS - KIND_STARTED))
}

# matches COUNT-OF PATTERN in FILE; 0 where there is none.
matches() { grep -cE "$1" "$2" || true; }

# --- Where servers run ---------------------------------------------------------------------------
# prepare_work: a directory of the user that servers run as: PostgreSQL refuses to run as root.
prepare_work() {
    SERVER_USER=()
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 || fail "there is no user postgres to run test servers as" "run: make setup"
        SERVER_USER=(runuser -u postgres --)
    fi
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-test.XXXXXX")
    chmod 755 "$WORK"
}

# prepare_servers: the build, PostgreSQL and the tests where the servers' user reaches them.
prepare_servers() {
    build_package
    copy_postgres "$WORK/postgres"
    cp "$TARGET/debug/rag-model" "$WORK/"
    # Tests of files that need the program itself are skipped where there is none.
    local file
    for file in rag-extract rag-report libpdfium.so; do [ ! -e "$TARGET/debug/$file" ] || cp "$TARGET/debug/$file" "$WORK/"; done
    cp -R "$ROOT/tests" "$WORK/tests"
    cp -R "$ROOT/README.md" "$ROOT/docs" "$ROOT/contrib" "$WORK/"
    cp -R "$ROOT/sql/releases" "$WORK/releases"
    # pg_regress gives up on a test without an expected file; an empty one makes it a plain failure.
    for file in "$WORK"/tests/sql/*.sql; do touch -a "$WORK/tests/expected/$(basename "$file" .sql).out"; done
    for file in "$WORK"/tests/isolation/specs/*.spec; do touch -a "$WORK/tests/isolation/expected/$(basename "$file" .spec).out"; done
    [ "$(id -u)" -ne 0 ] || chown -hR postgres "$WORK"
    TESTBIN=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
    TESTBIN=$(cd "$TESTBIN" && pwd)
}

# as_server COMMAND...: as the servers' user, in the work directory, in a defined environment.
# RUST_BACKTRACE would put a backtrace into the DETAIL of every error.
as_server() {
    (cd "$WORK" && "${SERVER_USER[@]}" env RUST_BACKTRACE=0 LC_ALL=C.UTF-8 PATH="$BINDIR:$PATH" \
        RAG_PG_MODEL_PATH="$MODELS" RAG_PG_ONNXRUNTIME="$ONNXRUNTIME_LIBRARY" \
        RAG_PG_MODEL_BINARY="$WORK/rag-model" RAG_PG_PROVIDER="$WORK/provider" RAG_PG_CLIENTS="$WORK/clients" RAG_PG_REPORT_BINARY="$WORK/rag-report" \
        RAG_PG_EXTRACT_BINARY="$WORK/rag-extract" RAG_PG_EXTRACT_STAND_IN="$WORK/tests/extract/stand_in.pl" "$@")
}

# server_config FILE PRELOAD: postgresql.conf lines for the temporary servers of pg_regress. Its tests
# look at the queue and call rag_work() themselves; workers are for the TAP tests.
server_config() {
    cat >"$1" <<CONF
$2
rag_pg.model_path = '$MODELS'
rag_pg.onnxruntime_path = '$ONNXRUNTIME_LIBRARY'
rag_pg.extract_program = '$WORK/tests/extract/stand_in.pl'
max_worker_processes = 16
rag_pg.workers = 0
log_line_prefix = '%m [%p] %q%a '
CONF
}

# names DIRECTORY EXTENSION: the tests in DIRECTORY, narrowed by TESTS.
names() {
    local file name
    for file in "$1"/*."$2"; do
        name=$(basename "$file" ".$2")
        if [ -z "$TESTS" ]; then
            echo "$name"
        else
            # 010_embed.pl is a test of the word embed.
            [[ " $TESTS " != *" $name "* && " $TESTS " != *" ${name#[0-9]*_} "* ]] || echo "$name"
        fi
    done
}

# --- Kinds ---------------------------------------------------------------------------------------
lint() {
    local passed=0 failed=0
    if cargo fmt --check; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    if cargo clippy --quiet --all-targets "${FEATURES[@]}" -- -D warnings; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    # Statements under a caller's path, and the script that CREATE EXTENSION runs, resolve no name on somebody else's.
    [ -e "$SQL_CHECKERS/interpreter" ] || note "what reads SQL is not installed; to do: run make setup"
    if python scripts/check_sql.py; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    # What Rust declares of PostgreSQL by hand is what its headers say.
    if cc -fsyntax-only -Werror -I"$("$PG_CONFIG" --includedir-server)" tests/abi/abi.c; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    if install_script_is_safe; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    if python scripts/upgrade.py "$(install_script)" --check; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    count lint "$passed" "$failed" 0 0
}

# install_script_is_safe: pgspot over the whole script as it would be installed, and nothing of it is ignored. It reads no
# bodies in the form of the SQL standard (RETURN ...): those are parsed when the function is created, under the path that
# the script has set, and look like a function of the library to it.
install_script_is_safe() {
    local said status=0
    build_package
    sed "s/ RETURN (.*;$/ LANGUAGE c AS '';/" "$(install_script)" >"$WORK/install.sql"
    said=$(python -m pgspot "$WORK/install.sql" 2>&1) || status=$?
    [ "$status" -eq 0 ] || echo "$said"
    return "$status"
}

unit() {
    local log=$WORK/unit.log status=0 word figures
    : >"$log"
    if [ -z "$TESTS" ]; then
        cargo_test || status=$?
    else
        for word in $TESTS; do
            cargo_test --lib -- "$word" || status=$?
            compgen -G "tests/$word.rs" >/dev/null || compgen -G "crates/*/tests/$word.rs" >/dev/null || continue
            cargo_test --test "$word" || status=$?
        done
    fi
    # Targets without tests also print a result line; one that did not compile prints none.
    read -r -a figures <<<"$(awk '/^test result:/ { p += $4; f += $6; s += $8 } END { print p + 0, f + 0, s + 0 }' "$log")"
    count unit "${figures[@]}" "$status"
}

# cargo_test ARGUMENT...: output to the log, and all but the passed tests to the terminal.
cargo_test() {
    RAG_PG_MODEL_PATH="$MODELS" RAG_PG_ONNXRUNTIME_PATH="$ONNXRUNTIME_LIBRARY" ORT_DYLIB_PATH="$ONNXRUNTIME_LIBRARY" \
        RAG_PG_PDFIUM="$PDFIUM_LIBRARY" \
        cargo test --no-fail-fast "${FEATURES[@]}" "$@" 2>&1 | tee -a "$log" |
        { grep -vE --line-buffered '^(test .* \.\.\. ok)?$' || true; }
}

# regression RUN PROGRAM INPUT PRELOAD ARGUMENT...: one run of pg_regress or its sibling.
regression() {
    local run=$1 program=$2 input=$3 preload=$4 status=0 out=$WORK/$1 log=$WORK/$1.log
    shift 4
    mkdir -p "$out"
    server_config "$out/server.conf" "$preload"
    [ "$(id -u)" -ne 0 ] || chown -R postgres "$out"
    as_server "$program" --temp-instance="$out/instance" --temp-config="$out/server.conf" --bindir="$BINDIR" \
        --inputdir="$input" --outputdir="$out" --encoding=UTF8 --no-locale "$@" >"$log" 2>&1 || status=$?
    # 15 prints "test x ... ok 1 ms", 16 and newer TAP.
    grep -E '^(test |ok |not ok )' "$log" | sed 's/^/    /' || true
    local passed failed
    passed=$(matches '^(test .* \.\.\. ok|ok )' "$log")
    failed=$(matches '^(test .* \.\.\. FAILED|not ok )' "$log")
    if [ "$status" -ne 0 ]; then
        if [ -s "$out/regression.diffs" ]; then cat "$out/regression.diffs"; else cat "$log"; fi
        grep -hE '(FATAL|PANIC|terminated by signal)' "$out"/log/postmaster.log 2>/dev/null | head -n 20 || true
    fi
    count "$run" "$passed" "$failed" 0 "$status"
    if [ -n "${ACCEPT:-}" ]; then accept "$out/results" "$ROOT/${input#"$WORK"/}/expected"; fi
}

# accept RESULTS EXPECTED: makes what the tests printed the expected output.
accept() {
    local file
    for file in "$1"/*.out; do
        cmp -s "$file" "$2/$(basename "$file")" || { cp "$file" "$2/" && note "accepted $(basename "$file")"; }
    done
}

regress() {
    local chosen=setup name
    for name in $(names tests/sql sql); do [ "$name" = setup ] || chosen+=" $name"; done
    # shellcheck disable=SC2086
    regression regress "$TESTBIN/regress/pg_regress" "$WORK/tests" "shared_preload_libraries = 'rag_pg'" $chosen
    [ -z "$TESTS" ] || return 0
    # The same results must come without preloading, where each backend loads models by itself.
    KIND_STARTED=$SECONDS
    # shellcheck disable=SC2086
    ACCEPT="" regression regress-lazy "$TESTBIN/regress/pg_regress" "$WORK/tests" "" $chosen
}

# The regression tests once more with objects on the search path that fit better than those of pg_catalog, and do the same:
# tests/hostile/ says which, and how the server's log tells that a statement of the extension used one. The first test also
# has a function of PostgreSQL's run such a statement, which has to be told.
hostile() {
    local chosen="hostile setup hostile_vectors" name what directory=$WORK/hostile log lines
    hostile_library || return
    mkdir -p "$directory"
    cp -R "$WORK/tests/sql" "$WORK/tests/expected" "$directory/"
    cat >"$directory/sql/hostile.sql" <<SQL
\\set ECHO none
\\i $WORK/tests/hostile/plant.sql
SQL
    # Operators on vectors, once pgvector is there.
    cat >"$directory/sql/hostile_vectors.sql" <<SQL
\\set ECHO none
\\set schema public
\\i $WORK/tests/hostile/vectors.sql
SELECT current_user AS schema \\gset
\\i $WORK/tests/hostile/vectors.sql
SET search_path = public, pg_catalog;
DO \$\$ BEGIN PERFORM pg_catalog.count(*) FROM pg_catalog.ts_stat('SELECT ''canary''::pg_catalog.tsvector WHERE ARRAY[1]::pg_catalog.float4[] <=> ''[1]''::public.vector IS NULL'); END \$\$;
SQL
    echo '\set ECHO none' | tee "$directory/expected/hostile.out" >"$directory/expected/hostile_vectors.out"
    for name in $(names tests/sql sql); do [ "$name" = setup ] || chosen+=" $name"; done
    # shellcheck disable=SC2086
    ACCEPT="" regression hostile "$TESTBIN/regress/pg_regress" "$directory" "shared_preload_libraries = 'rag_pg, $WORK/hostile_watch'" $chosen
    log=$directory/log/postmaster.log
    for what in 'function public.hostile_operator' 'type public.oid' 'function public.hostile_from' 'function public.cardinality' 'function public.hostile_vector'; do
        grep -q "LOG:  hostile: $what.* in SELECT .*canary" "$log" || { FAILED=$((FAILED + 1)) && note "hostile: nothing is told of a hostile $what"; }
    done
    lines=$(grep 'LOG:  hostile: ' "$log" | grep -vc canary || true)
    if [ "$lines" -gt 0 ]; then
        FAILED=$((FAILED + 1))
        note "hostile: $lines times a statement of the extension used what is not pg_catalog's:"
        grep -o 'LOG:  hostile: .*' "$log" | grep -v canary | cut -c -300 | sort | uniq -c | sort -rn | head -n 40
    fi
}

# hostile_library: what looks at each statement, built for the PostgreSQL at hand.
hostile_library() {
    cc -shared -fPIC -O1 -I"$("$PG_CONFIG" --includedir-server)" -o "$WORK/hostile_watch.so" tests/hostile/hostile.c ||
        { count hostile 0 1 0 1 && return 1; }
    chmod 755 "$WORK/hostile_watch.so"
}

isolation() {
    local chosen preloaded=$'shared_preload_libraries = \'rag_pg\'\nmax_prepared_transactions = 4'
    chosen=$(names tests/isolation/specs spec)
    [ -n "$chosen" ] || { count isolation 0 0 0 0 && return; }
    # shellcheck disable=SC2086
    regression isolation "$TESTBIN/isolation/pg_isolation_regress" "$WORK/tests/isolation" "$preloaded" \
        --load-extension=vector --load-extension=rag_pg $chosen
}

tap() {
    local log=$WORK/tap.log status=0 name files=()
    for name in $(names tests/t pl); do files+=("tests/t/$name.pl"); done
    [ ${#files[@]} -gt 0 ] || { count tap 0 0 0 0 && return; }
    provider || return
    [[ " ${files[*]} " != *150_clients.pl* && " ${files[*]} " != *156_dashboard.pl* ]] || bash scripts/clients.sh "$WORK/clients"
    as_server env PG_REGRESS="$TESTBIN/regress/pg_regress" PERL5LIB="$TESTBIN/perl:$WORK/tests/t" \
        TESTDATADIR="$WORK/tmp_check" TESTLOGDIR="$WORK/tap-log" \
        prove --verbose --timer --nocolor "${files[@]}" 2>&1 | tee "$log" |
        grep -E --line-buffered '^(not ok|#|\[|Test Summary|tests/t|  )' || true
    status=$(grep -q '^Result: \(PASS\|NOTESTS\)' "$log" && echo 0 || echo 1)
    local skipped passed failed
    # Of a file that skips all, prove says so and shows no line of it.
    skipped=$(matches '^(ok .* # skip|\[[0-9:]+\] .*\.pl \.+ skipped: )' "$log")
    passed=$(($(matches '^ok ' "$log") - $(matches '^ok .* # skip' "$log")))
    failed=$(matches '^not ok ' "$log")
    # A file that died without a failed test is a failure too.
    failed=$((failed + $(matches '^tests/t/.*\(Wstat: .* Failed: 0\)' "$log")))
    # PostgreSQL 15 writes logs beside the data.
    for name in $(sed -n 's|^tests/t/\(.*\)\.pl *(Wstat.*|\1|p' "$log"); do
        tail -n 15 "$WORK"/{tap-log,tmp_check/log}/regress_log_"$name" 2>/dev/null || true
    done
    count tap "$passed" "$failed" "$skipped" "$status"
}

# provider: the tests' provider of models, where a test that calls one was chosen.
provider() {
    local name
    for name in $(names tests/t pl); do grep -q '^use Provider;' "tests/t/$name.pl" && break; name=; done
    [ -n "${name:-}" ] || return 0
    cargo build --quiet "${FEATURES[@]}" --example provider || { count tap 0 1 0 1 && return 1; }
    cp "$TARGET/debug/examples/provider" "$WORK/provider"
}

# --- All of them ---------------------------------------------------------------------------------
prepare_build
prepare_work
# Servers of these tests live in $WORK and are ended by the programs that start them.

for kind in $ONLY; do
    case $kind in
    lint | unit) ;;
    regress | hostile | isolation | tap) [ -d "$WORK/postgres" ] || prepare_servers ;;
    *) fail "there is no kind of test called $kind" "ONLY takes: lint unit regress hostile isolation tap" ;;
    esac
    step "$kind"
    KIND_STARTED=$SECONDS
    "$kind"
done

if [ "$FAILED" -eq 0 ]; then
    rm -rf "$WORK"
else
    printf '\nlogs of the failed tests are in %s\n' "$WORK"
fi
printf '\n%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
[ "$FAILED" -eq 0 ]
