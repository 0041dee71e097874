#!/usr/bin/env bash
# make upgrade-script: writes sql/rag_pg--OLD--NEW.sql, by which a database follows from the last release to this version.
# RELEASING.md says what is written by hand.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare_build
build_package
python scripts/upgrade.py "$(install_script)"
