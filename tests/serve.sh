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

serving "$any" --chat-template tests/support/agent.jinja --ctx 4096
adopt python3 tests/serve_responses.py "$url"
check 'Responses: a line for each tool that is left out' grep -qF "tools[1]: a tool of the type 'web_search' is left out" "$log"
check 'Responses: a line for each item that is left out' grep -qF "input[4]: an item of the type 'item_of_tomorrow' is left out" "$log"
serving_ends

# few pages for many
clients=32
[ -z "${SANITIZE:-}" ] || clients=8
serving "$any" --ctx 1024 --parallel 8 --kv-unified --cache-ram 1
adopt python3 tests/serve_bits.py "$url" "$program" "$any" $clients --ctx 1024
serving_ends

serving "$any" --chat-template tests/support/agent.jinja --ctx 2048 --api-key secret
adopt python3 tests/serve_anthropic.py "$url" secret
serving_ends
finish
