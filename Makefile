# The commands of rag_pg. Each is a script in scripts/; run `make` to see what there is.
#
# PG_CONFIG, PREFIX, DESTDIR and CARGO_TARGET_DIR are respected where they are set.
SHELL := /bin/bash
# One after the other, whatever -j says: they share a build directory.
.NOTPARALLEL:
.PHONY: help setup install deb try-packages upgrade-script release-files test matrix test-generator dev dev-stop demo demo-stop bench docs

help:
	@echo 'make setup      packages, pgvector, cargo-pgrx, ONNX Runtime, pdfium, default model; does only what is missing'
	@echo 'make install    build and install the extension, rag-model, rag-extract and rag-report'
	@echo 'make deb        Debian packages of the extension, its programs and the default model'
	@echo 'make try-packages  install these in a fresh system, answer a question, purge them; needs root'
	@echo 'make demo       set up, install, then watch the PostgreSQL manual become searchable (PAGES=all: all of it; FILES=directory: its files instead)'
	@echo 'make demo-stop  end the demo'"'"'s server and remove its directory'
	@echo 'make test       set up, build for tests, then run every test (ONLY="regress tap" TESTS="chunk": a part, without set-up)'
	@echo 'make matrix     the tests on PostgreSQL 15 to 18 (VERSIONS="17 18": these; ONLY and TESTS as above); needs root'
	@echo 'make test-generator  have real small models answer questions; downloads 660 MB the first time'
	@echo 'make dev        build for tests and run it in a server that stays; make dev-stop ends it'
	@echo 'make upgrade-script  write sql/rag_pg--OLD--NEW.sql from the install scripts of the last release and of this version'
	@echo 'make release-files   keep the install script and a dump of this version, for later versions to be tested with'
	@echo 'make bench      set up, install, then measure'
	@echo 'make docs       build the site of the documents (into target/book, or BOOK=directory)'

setup:
	@bash scripts/setup.sh

install:
	@bash scripts/install.sh

deb: setup
	@bash scripts/deb.sh

try-packages:
	@bash scripts/try-packages.sh

upgrade-script:
	@bash scripts/upgrade.sh

release-files:
	@bash scripts/release.sh

test: $(if $(TESTS),,setup)
	@bash scripts/test.sh

matrix:
	@bash scripts/matrix.sh

test-generator:
	@bash scripts/test-generator.sh

dev:
	@bash scripts/dev.sh

dev-stop:
	@bash scripts/dev.sh stop

demo: setup install
	@bash scripts/demo.sh

demo-stop:
	@bash scripts/demo.sh stop

bench: setup install
	@bash scripts/bench.sh

docs:
	@bash scripts/docs.sh
