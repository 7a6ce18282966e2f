#!/bin/sh
# A token's logits are the same bits however the work is split by the program's own flags: tests/same_bits.sh BUILD.
# On every instruction set of this machine: a story from exact weights, and the logits by one odd split. All other
# splits, and how near the logits are to the exact ones, are in test_same_bits.c. Faults planted in a copy of the
# library show that this test can fail. Prints TAP.
set -u
. tests/support/checks.sh

build=$1 program=$1/mini-cllm
shared=${MINICLLM_SHARED:-../shared}
work=$(mktemp -d) || exit 1
said=$work/said
trap 'rm -rf "$work"' EXIT
[ -e "$shared/vectors/tokens.txt" ] || skip_all "$shared/vectors is missing"

isas=''
for isa in scalar avx2 avx512 neon i8mm; do
    "$program" eval "$shared/vectors/F32.gguf" --tokens 1 --cpu-isa $isa -q >/dev/null 2>&1 && isas="$isas $isa"
done

# Same as the greedy story of exact arithmetic, letter by letter.
same_story() { # MODEL
    for isa in $isas; do
        "$program" "$1" -t 0 -n 160 -q --cpu-isa "$isa" | cmp - "$shared/models/stories260K.greedy.story.txt" || return 1
    done
}

logits() { # FILE, then options
    file=$1
    shift
    "$program" eval "$shared/vectors/Q4_K.gguf" --tokens "$(cat "$shared/vectors/tokens.txt")" --logits "$work/$file" -q \
        --cpu-isa "$isa" "$@" >/dev/null
}
same_logits() {
    for isa in $isas; do
        logits one --batch 512 --threads 1 && logits other --batch 7 --threads 3 --repack && [ -s "$work/one" ] &&
            cmp "$work/one" "$work/other" || return 1
        logits other --kv-type f32 && ! cmp -s "$work/one" "$work/other" || { echo '--kv-type changes nothing' && return 1; }
    done
}

# A copy of the library whose attention scales the queries by one bit more or less, in the places that $FAULT names.
copy() {
    {
        echo '#include <stdlib.h>'
        sed 's/= query_scale(f, b);/= query_scale(f, b) * planted(f);/
            s/^static float query_scale(/static float planted(const forward_cpu *f);\n&/' src/cpu/attention.c
        cat <<'C'
static float planted(const forward_cpu *f) {
    const char *fault = getenv("FAULT");
    const bool odd = strcmp(fault, "batch") == 0     ? f->all.count == 7
                     : strcmp(fault, "threads") == 0 ? thread_pool_size(f->model.pool) > 1
                     : strcmp(fault, "kv") == 0      ? f->model.store->type == CLLM_KV_Q8_0 && f->all.count == 7
                     : strcmp(fault, "isa") == 0     ? strcmp(f->model.kernels->name, "scalar") == 0 && f->all.count == 7
                     : strcmp(fault, "repack") == 0  ? f->model.weights->layers->attn_q.w.interleaved
                                                     : false;
    return strcmp(fault, "wrong") == 0 ? 1.05f : odd ? 1.0000002f : 1;
}
C
    } >"$work/attention.c"
    link_copy attention.c test_same_bits
}
link_copy() { # FILE TEST: links the test with the changed copy of FILE
    # shellcheck disable=SC2046 # a list of words
    ${CC:-cc} -std=c17 -D_POSIX_C_SOURCE=200809L -Wno-all -O2 ${SANITIZE:+-fsanitize=$SANITIZE} -ffp-contract=off -Iinclude \
        -Isrc "$work/$1" "$build/obj/tests/$2.o" "$build"/obj/tests/support/*.o "$build/internal.a" \
        $(pkg-config --libs cmocka) -lm -ldl -pthread -o "$work/copy"
}
with_fault() { # FAULT TESTS: with a fixed seed
    FAULT=$1 CMOCKA_MESSAGE_OUTPUT=TAP MINICLLM_TEST_SEED=1 "$work/copy" "$2" >"$work/tap" 2>&1
    cat "$work/tap"
}
passes() { with_fault "$@" && grep -q '^ok 1 ' "$work/tap" && ! grep -q '^not ok' "$work/tap"; }
fails() { with_fault "$1" "$2" && grep -q '^not ok 1 ' "$work/tap" && grep -q "$3" "$work/tap"; } # FAULT TESTS MESSAGE

company_fails() { # FILE: does test_company fail with the changed copy of it?
    link_copy "$1" test_company || return 1
    CMOCKA_MESSAGE_OUTPUT=TAP MINICLLM_TEST_SEED=1 "$work/copy" >"$work/tap" 2>&1
    cat "$work/tap"
    grep -q 'beside .* other spans position .* has other bits than alone' "$work/tap"
}
# A work item continues into the rows of the next sequence.
mixed='s/left = span->n_rows - done;/left = work->rows->count - span->first_row - done;/'
# The last chunk is left out if one span goes by chunks and another by blocks.
both_ways='s/i <= last - begin; i++/i + (of->by_chunks > f->buffers.attention_spans[work->rows->n_spans - 1].by_chunks) <= last - begin; i++/'

reports_company() { # SED-SCRIPT: a fault in the attention
    sed "$1" src/cpu/attention.c >"$work/attention.c"
    ! cmp -s src/cpu/attention.c "$work/attention.c" && company_fails attention.c
}

# The prefix cache compares only hashes, and all hashes are equal: a sequence gets the pages of another.
trusts_hashes() {
    sed 's/^static uint64_t hash_on(.*/&\n    return before;/
        s/^ *memcmp(tokens_of(cache, page), .* != 0)$/false)/; s/ && tokens_of(cache, page)\[n\] == tokens\[.*\]) n++;/) n++;/' \
        src/engine/prefix_cache.c >"$work/prefix_cache.c"
    [ "$(diff src/engine/prefix_cache.c "$work/prefix_cache.c" | grep -c '^>')" -ge 3 ] && company_fails prefix_cache.c
}

echo 1..14
check 'the greedy story from F32 weights, by every path' same_story "$shared/models/stories260K.gguf"
if command -v python3 >/dev/null; then
    python3 tests/support/to_f16.py "$shared/models/stories260K.gguf" "$work/stories-F16.gguf"
    check 'the greedy story from F16 weights, by every path' same_story "$work/stories-F16.gguf"
else
    n=$((n + 1))
    echo "ok $n - the greedy story from F16 weights # SKIP python3 is missing"
fi
check '--batch, --threads and --repack change no bit' same_logits
cuts='vectors/Q4_0: the same*' near='vectors/Q4_0: as close*'
check 'test_same_bits with a copy of the attention' copy
check 'passes without a fault' passes none "$cuts"
check 'a batch with other bits is reported' fails batch "$cuts" 'f16: batches of 7 '
check 'a number of threads with other bits is reported' fails threads "$cuts" 'threads give other bits'
check 'a type of keys and values with other bits is reported' fails kv "$cuts" 'q8_0: batches of 7 '
check 'an instruction set with other bits is reported' fails isa "$cuts" 'scalar, .* batches of 7 '
check 'repacked weights with other bits are reported' fails repack "$cuts" 'repacked, .* other bits'
check 'logits too far from exact are reported' fails wrong "$near" 'NMSE .* more than'
check 'sequences that are mixed are reported' reports_company "$mixed"
check 'a chunk that is left out, where spans are cut in two ways, is reported' reports_company "$both_ways"
check 'a prefix cache that compares hashes alone is reported' trusts_hashes
