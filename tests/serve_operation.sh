#!/bin/sh
# The server from its start to its end, its log, access to it, and the server behind HAProxy and nginx with the files
# of examples/serve: tests/serve_operation.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0
exec python3 tests/serve_operation.py "$program" "$any"
