#!/bin/sh
# mini-cllm serve with clients that do what no client should do: tests/serve_hostile.sh BUILD, from the top of the
# repository. A few hundred random requests, chosen by MINICLLM_TEST_SEED, or 10,000 if MINICLLM_TEST_LONG is 1.
# Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0
seed=${MINICLLM_TEST_SEED:-$(date +%s)}
count=400
[ "${MINICLLM_TEST_LONG:-}" != 1 ] || count=10000
echo "# MINICLLM_TEST_SEED=$seed"

# ends STATUS: the server ends by itself, with this status, and its log reports no fault
ends() {
    grep -q '^1\.\.' "$temporary/tap" || kill -9 "$server" # the client failed, so nobody told it to end
    server_ended
    ! grep -E 'Sanitizer|runtime error|Fatal|Assertion' "$log" && exits "$1"
}
ended() { # STATUS
    kill -TERM "$server" && ends "$1"
}

set -- "$any" --chat-template chatml --ctx 1024 --cache-ram 8
serving "$@" --timeout 3600
adopt python3 tests/serve_hostile.py "$url" "$count" "$seed" "$server"
adopt python3 tests/serve_limits.py unread "$url"
check 'what was hostile left no fault, and SIGTERM ends it: exit 143' ended 143

serving "$@" --timeout 1
adopt python3 tests/serve_limits.py slow "$url"
check 'slow clients left no fault' ended 143

serving "$@" --timeout 3600 --max-connections-per-address 40 --queue 4 --parallel 1
adopt python3 tests/serve_limits.py full "$url"
check 'limits left no fault' ended 143

serving "$@" --timeout 3600 --queue 2000 --parallel 1
adopt python3 tests/serve_limits.py streams "$url" "$server"
check 'a thousand streams left no fault' ended 143

cp "$any" "$temporary/other.gguf"
serving "$any" "$temporary/other.gguf" --chat-template chatml --ctx 1024 --models-max 1 --sleep-idle-seconds 1
adopt python3 tests/serve_limits.py models "$url"
check 'models that come and go left no fault' ended 143

serving "$@" --drain 3600
adopt python3 tests/serve_limits.py drain "$url" "$server"
check 'SIGTERM: open requests are answered, then exit 143' ends 143

serving "$@" --drain 1 --queue 2000
adopt python3 tests/serve_limits.py cut "$url" "$server"
check 'SIGTERM and --drain 1: exit 143' ends 143

serving "$@" --drain 3600 --queue 2000
adopt python3 tests/serve_limits.py cut "$url" "$server" twice
check 'a second SIGTERM ends it at once: exit 143' ends 143
finish
