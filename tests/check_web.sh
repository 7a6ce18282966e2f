#!/bin/sh
# The server's page in a browser: tests/check_web.sh BUILD, from the top of the repository. Prints TAP.
#
# It needs node, Chromium, and playwright-core in build/playwright or among npm's global packages. By itself it runs the page
# on a stand-in for the server; with MINICLLM_WEB_URL=http://localhost:8080/ on the server that runs there, and whose page,
# headers and one answer it then looks at. Pictures go to BUILD/web. MINICLLM_WEB_ONLY=WORDS runs only the tests with these
# words in their names.
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
exec node tests/web/check.mjs "$1"
