#!/bin/sh
# Tests the documentation: its commands run, their output is what it says, and its links and names exist. Prints TAP;
# see docs_check.py.
set -u
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "its commands are those of the other tests: $SANITIZE"
command -v python3 >/dev/null || skip_all "there is no python3"
exec python3 tests/docs_check.py "${1:?usage: tests/docs.sh BUILD}"
