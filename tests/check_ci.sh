#!/bin/sh
# .ci/run and the files that call it agree: tests/check_ci.sh BUILD, from the top of the repository. Prints TAP.
set -u
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the scripts are the same for a sanitizer: $SANITIZE"
command -v bash >/dev/null || skip_all 'bash is missing'
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT

steps=$(sed -n "s/^steps='\(.*\)'/\1/p" .ci/run)
workflow=.github/workflows/ci.yml

# The workflow runs every step: each of its jobs runs `setup` and one entry of the matrix.
fanned_out() {
    grep -q 'run: bash .ci/run setup \${{ matrix.steps }}' $workflow || return 1
    matrix=$(sed -n 's/^ *steps: \[\(.*\)\]/\1/p' $workflow | tr ',' ' ')
    printf '%s\n' $steps | sort >"$said.steps"
    printf '%s\n' setup $matrix | sort | diff "$said.steps" -
    status=$?
    rm "$said.steps"
    return $status
}
# Each step is one line of .ci/run, in the order of the list there.
made() { [ "$(sed -n 's/^step \([a-z]*\) .*/\1/p' .ci/run | xargs)" = "$steps" ]; }
unknown() {
    .ci/run format nonsense
    [ $? = 2 ] && grep -q "^usage: .ci/run \[NAME...\], of $steps$" "$said"
}
# README.md has two lines that begin with scripts/setup, by which .ci/run finds them.
found() { [ "$(grep -c '^scripts/setup' README.md)" = 2 ]; }

echo 1..4
check 'every step of .ci/run is in the matrix of the workflow' fanned_out
check 'every step that it lists is there, in that order' made
check 'a step that is not there is refused' unknown
check "README's two lines are found" found
