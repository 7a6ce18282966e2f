#!/bin/sh
# The server's page in a browser: tests/check_web.sh BUILD, from the top of the repository. Prints TAP.
#
# It needs node, Chromium, and playwright-core in build/playwright or among npm's global packages. The page, its
# headers and one answer come from a server that this script starts, or from the one at MINICLLM_WEB_URL; the other
# answers are scripted. Screenshots go to BUILD/web. MINICLLM_WEB_ONLY=WORDS runs only the tests with these words in
# their names.
set -u
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the page is the same for a sanitizer: $SANITIZE"
command -v node >/dev/null || skip_all 'node is missing (Debian: nodejs)'
NODE_PATH=$PWD/build/playwright/node_modules:${NODE_PATH:-$(npm root --global 2>/dev/null)}
export NODE_PATH
node -e 'require("playwright-core")' 2>/dev/null || skip_all 'playwright-core is missing (scripts/setup ci)'
for browser in chromium chromium-browser google-chrome '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
    [ "${MINICLLM_CHROMIUM:-}" ] || MINICLLM_CHROMIUM=$(command -v "$browser")
done
[ "$MINICLLM_CHROMIUM" ] || skip_all 'Chromium is missing (Debian: chromium)'
export MINICLLM_CHROMIUM

log=$(mktemp) || exit 1
trap '[ ! "$server" ] || kill "$server"; rm -f "$log"' EXIT
server=''
if [ ! "${MINICLLM_WEB_URL:-}" ]; then
    "$1/mini-cllm" serve models/demo.gguf --chat-template chatml --port 0 >"$log" 2>&1 &
    server=$!
    while kill -0 $server 2>/dev/null; do
        MINICLLM_WEB_URL=$(sed -n 's/^listening on //p' "$log")
        [ "$MINICLLM_WEB_URL" ] && break
        sleep 0.1
    done
    if [ ! "$MINICLLM_WEB_URL" ]; then # built without libmicrohttpd
        echo "# on a stand-in for the server: $(tail -n 1 "$log")"
        server=''
    fi
    export MINICLLM_WEB_URL
fi
node tests/web/check.mjs "$1"
