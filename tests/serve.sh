#!/bin/sh
# mini-cllm serve: tests/serve.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0

# adopt COMMAND...: the checks of a script that prints TAP, as ours
adopt() {
    "$@" >"$temporary/tap" 2>&1
    while IFS= read -r line; do
        case $line in
        ok\ *) tests=$((tests + 1)) && echo "ok $tests - ${line#*- }" ;;
        not\ ok\ *) tests=$((tests + 1)) failures=$((failures + 1)) && echo "not ok $tests - ${line#*- }" ;;
        1..*) ;;
        *) echo "# $line" ;;
        esac
    done <"$temporary/tap"
    grep -q '^1\.\.' "$temporary/tap" || check "$* came to its end" false
}

serving "$any" --chat-template chatml
adopt python3 tests/serve_openai.py "$url"
serving_ends
check 'SIGTERM: exit 143' exits 143

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
