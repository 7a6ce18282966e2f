#!/bin/sh
# A token's logits are the same bits however the work is cut: tests/same_bits.sh BUILD. For every tensor type, the logits
# of 300 tokens (more than one chunk of keys and values) by every batch and thread count, on every instruction set that
# this machine has and with every type of keys and values; and near enough to the exact ones.
set -u

program=$1/mini-cllm
shared=${MINICLLM_SHARED:-../shared}
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT

if [ ! -e "$shared/vectors/tokens.txt" ]; then
    echo "1..0 # SKIP $shared/vectors is missing"
    exit 0
fi
number=0
check() { # NAME, then a command
    number=$((number + 1))
    name=$1
    shift
    if "$@"; then echo "ok $number - $name"; else echo "not ok $number - $name"; fi
}

tokens=$(cat "$shared/vectors/tokens.txt")
long=$(seq 300 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), $1 * 37 % 509 }')
isas=''
for isa in scalar avx2 avx512 neon i8mm; do
    "$program" eval "$shared/vectors/F32.gguf" --tokens 1 --cpu-isa $isa -q >/dev/null 2>&1 && isas="$isas $isa"
done

logits() { # FILE, then options
    file=$1
    shift
    "$program" eval "$model" --tokens "$long" --logits "$temporary/$file" -q "$@" >/dev/null
}

# The best path by all batches and threads; the others by those that cross the most borders.
same_bits() {
    for isa in $isas; do
        for kv in f16 f32 q8_0; do
            logits one --batch 512 --threads 1 --cpu-isa "$isa" --kv-type $kv || return 1
            batches='1 7 64' threads='2 5'
            if [ "$isa $kv" = "${isas##* } f16" ] && [ -z "${SANITIZE:-}" ]; then
                batches='1 2 3 7 16 64 512' threads='1 2 3 5'
            elif [ -n "${SANITIZE:-}" ]; then
                batches=7 threads=3
            fi
            for batch in $batches; do
                for count in $threads; do
                    logits other --batch $batch --threads $count --cpu-isa "$isa" --kv-type $kv || return 1
                    cmp -s "$temporary/one" "$temporary/other" && continue
                    echo "# $isa, $kv: batches of $batch and $count threads give other bits"
                    return 1
                done
            done
        done
    done
    logits other --repack && logits one && cmp "$temporary/one" "$temporary/other"
}

floats() { od -An -v -t f4 -w4 "$1"; }

nmse() { # of the logits of tokens.txt, with the options given
    "$program" eval "$model" --tokens "$tokens" --logits "$temporary/got" -q "$@" >/dev/null || return 1
    floats "$temporary/got" | paste - "$temporary/want" |
        awk '{ e += ($1 - $2) ^ 2; s += $2 ^ 2 } END { print NR == 16384 ? e / s : 1 }'
}

# At most 1.1 times llama.cpp's own distance from exact, or 1e-6, with keys and values as it has them.
close_enough() {
    floats "${model%.gguf}.logits.f32" >"$temporary/want"
    for isa in $isas; do
        error=$(nmse --cpu-isa "$isa" --kv-type f16) || return 1
        echo "# $isa: NMSE $error"
        awk -v error="$error" -v type="$type" '$1 == type { limit = 1.1 * $2 }
            END { exit !(error <= (limit > 1e-6 ? limit : 1e-6)) }' "$shared/vectors/llama.cpp-nmse.tsv" || return 1
    done
}

# Where the weights are floats every path does the same arithmetic, but for the order of its sums.
near_scalar() {
    "$program" eval "$model" --tokens "$tokens" --logits "$temporary/scalar" -q --cpu-isa scalar >/dev/null || return 1
    floats "$temporary/scalar" >"$temporary/want"
    for isa in $isas; do
        error=$(nmse --cpu-isa "$isa") || return 1
        echo "# $isa: NMSE $error"
        awk -v error="$error" 'BEGIN { exit !(error < 1e-9) }' || return 1
    done
}

# The greedy story of exact arithmetic, letter by letter.
same_story() {
    for isa in $isas; do
        "$program" "$model" -t 0 -n 160 -q --cpu-isa "$isa" | cmp - "$shared/models/stories260K.greedy.story.txt" || return 1
    done
}

set -- "$shared"/vectors/*.gguf
echo "1..$((2 * $# + 5))"
for type in F32 F16 BF16; do
    model=$shared/vectors/$type.gguf
    check "$type: every path near the scalar one" near_scalar
done
model=$shared/models/stories260K.gguf
check 'the greedy story from F32 weights, by every path' same_story
if command -v python3 >/dev/null; then
    model=$temporary/stories-F16.gguf
    python3 tests/support/to_f16.py "$shared/models/stories260K.gguf" "$model"
    check 'the greedy story from F16 weights, by every path' same_story
else
    number=$((number + 1))
    echo "ok $number - the greedy story from F16 weights # SKIP python3 is missing"
fi
for model; do
    type=$(basename "$model" .gguf)
    check "$type: the same bits by every cut of the work" same_bits
    check "$type: as close to exact as llama.cpp" close_enough
done
