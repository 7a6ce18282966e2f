#!/bin/sh
# mini-cllm serve: tests/serve.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0

serving "$any" --chat-template chatml
adopt python3 tests/serve_openai.py "$url"
serving_ends
check 'SIGTERM: exit 143' exits 143
finish
