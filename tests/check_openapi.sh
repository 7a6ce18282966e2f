#!/bin/sh
# The server's API behaves as its description says (/openapi.json): tests/check_openapi.sh BUILD, from the top of the
# repository. Prints TAP.
#
# Schemathesis (PyPI; scripts/setup ci puts it into build/schemathesis) sends requests to each endpoint for about a
# minute, chosen by MINICLLM_TEST_SEED, or for half an hour if MINICLLM_TEST_LONG is 1. Requests may have values that
# the description does not allow: these must be refused.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh
. tests/support/server.sh
can_serve || exit 0

# Each route of routes.c is described, and nothing else.
check 'every route is described, and nothing else' python3 - <<'PYTHON'
import json, re
routes = {(method.lower(), path) for method, path in re.findall(r'^    \{"([A-Z]+)", "([^"]+)"', open("programs/server/routes.c").read(), re.M)}
described = {(method, re.sub(r"\{[^}]*\}$", "*", path)) for path, methods in json.load(open("programs/server/openapi.json"))["paths"].items() for method in methods}
assert len(routes) > 20
assert routes == described, (routes - described, described - routes)
PYTHON

tool=$PWD/build/schemathesis
if [ -n "${SANITIZE:-}" ] || ! PYTHONPATH=$tool python3 -c 'import schemathesis' 2>/dev/null; then
    skip 'no answer contradicts the description' "schemathesis is missing (scripts/setup ci), or this is a sanitizer: ${SANITIZE:-none}"
    finish
    exit
fi

seconds=60 examples=1000
[ "${MINICLLM_TEST_LONG:-}" != 1 ] || seconds=1800 examples=20000
seed=${MINICLLM_TEST_SEED:-$(date +%s)}
HF_HUB_OFFLINE=1 HOME=$temporary # nothing is pulled
export HF_HUB_OFFLINE HOME
serving "$any" --chat-template chatml --ctx 256 --n-tokens 8 --api-key secret --log-format json

# Some fields are in a schema of their own, in allOf. Schemathesis tries wrong values of such a schema by itself, without
# the fields that a request must have. So it is given a description in which they are beside the other fields.
python3 - "$url" >"$temporary/openapi.json" <<'PYTHON' || exit 1
import json, sys, urllib.request
description = json.load(urllib.request.urlopen(sys.argv[1] + "/openapi.json"))
schemas = description["components"]["schemas"]
for schema in schemas.values():
    for part in schema.pop("allOf", []):
        schema["properties"] |= schemas[part["$ref"].rpartition("/")[2]]["properties"]
json.dump(description, sys.stdout)
PYTHON

# Two checks of Schemathesis are off. positive_data_acceptance: the server may refuse a text for reasons that no schema
# can express, such as a model's template or a grammar. not_a_server_error: the server answers 501 and 503 where the
# description says so. Instead, a check below allows no answer 500.
described() ( # it leaves files where it runs
    cd "$temporary" && PYTHONPATH=$tool perl -e 'alarm shift; exec @ARGV' $((seconds * 3 + 900)) \
        python3 -m schemathesis.cli run openapi.json --url "$url" -H 'Authorization: Bearer secret' \
        --checks all --exclude-checks positive_data_acceptance,not_a_server_error --exclude-path /api/pull \
        --phases examples,coverage,fuzzing --max-time $seconds --max-examples $examples --seed "$seed" --request-timeout 120 \
        --suppress-health-check all --warnings off --no-color >"$out" 2>"$err"
)
status=0
if described; then ok "no answer contradicts the description (seed $seed)"; else
    not_ok "no answer contradicts the description (seed $seed)"
    sed -n -e '/= FAILURES =/,$p' -e '/= ERRORS =/,/= FAILURES =/p' "$out" | head -n 150 | cut -c 1-300 | sed 's/^/#   /'
fi
check 'many answers' grep -qE '[0-9]{3,} generated|[0-9]{3,} test cases' "$out"
check 'none of them is 500' sh -c '! grep "\"status\":500" "$1" && grep -q "\"status\":200" "$1"' sh "$log"
serving_ends
check 'SIGTERM: exit 143' exits 143
finish
