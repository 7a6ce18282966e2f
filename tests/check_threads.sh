#!/bin/sh
# No two threads use the same memory without synchronisation: tests/check_threads.sh BUILD. `make threads` builds the
# program and the tests of the thread pool with the thread sanitizer into BUILD/threads. They run on several threads,
# and any race that it reports fails. Prints TAP.
set -u
. tests/support/checks.sh

threads=$1/threads model=models/demo.gguf
[ -z "${SANITIZE:-}" ] || skip_all "another sanitizer is in use: $SANITIZE"
"$1/mini-cllm" "$model" -n 1 -v 2>&1 >/dev/null | grep -q 'compute: 1 thread' &&
    skip_all 'one core: the threads would take turns'
mkdir -p "$threads" || exit 1
said=$threads/said

# A deliberate race shows whether the sanitizer works here. Some Linux kernels place memory at addresses that it cannot
# use; then setarch -R helps.
cat >"$threads/race.c" <<'RACE'
#include <pthread.h>
static int counter;
static void *count(void *nothing) { return counter++, nothing; }
int main(void) {
    pthread_t other;
    if (pthread_create(&other, 0, count, 0)) return 1;
    count(0);
    return pthread_join(other, 0);
}
RACE
${CC:-cc} -g -fsanitize=thread -pthread "$threads/race.c" -o "$threads/race" 2>"$said" ||
    skip_all "${CC:-cc} has no thread sanitizer"
catches_races() {
    $prefix "$threads/race" >"$said" 2>&1
    grep -q 'WARNING: ThreadSanitizer: data race' "$said"
}
prefix=''
catches_races || prefix='setarch -R'
catches_races || skip_all 'the thread sanitizer does not work here'

build_all() { # builds them if they are not built yet
    MAKEFLAGS='' make CC="${CC:-cc}" BUILD="${threads%/threads}" threads
    [ ! -s "$threads/log" ] || cat "$threads/log"
    [ -x "$threads/mini-cllm" ] && [ -x "$threads/tests/test_base" ]
}

pool_tests() {
    CMOCKA_MESSAGE_OUTPUT=TAP $prefix "$threads/tests/test_base" || return 1
    ! grep -q ThreadSanitizer "$said" && [ "$(grep -c '^ok [0-9]' "$said")" = "$(sed -n 's/^1\.\.//p' "$said")" ]
}

quietly() { # ARGUMENT...: the program, without a report
    $prefix "$threads/mini-cllm" "$@" && ! grep -q ThreadSanitizer "$said"
}

# The demo's story of about 60 tokens, and 24 more tokens.
tale='Once upon a time there was a squirrel who lived in a hollow tree.'
generates() { # OPTION...
    for count in 1 4; do
        quietly "$model" -p "$tale $tale $tale" -t 0 -n 24 --batch 16 --threads $count -v "$@" >"$threads/text$count" || return 1
        grep -q "compute: $count threads" "$said" || return 1
    done
    [ -s "$threads/text1" ] && cmp "$threads/text1" "$threads/text4"
}

evaluates() {
    tokens=$(seq 300 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), $1 * 37 % 1509 }')
    for count in 1 3; do
        quietly eval "$model" --tokens "$tokens" --threads $count --batch 7 --logits "$threads/logits$count" || return 1
    done
    [ -s "$threads/logits1" ] && cmp "$threads/logits1" "$threads/logits3"
}

echo 1..5
check 'the thread sanitizer builds the program and the tests of the thread pool' build_all
check 'the thread pool has no race' pool_tests
check 'generating has no race' generates
check 'generating by scalar kernels has no race' generates --cpu-isa scalar
check 'evaluating has no race' evaluates
