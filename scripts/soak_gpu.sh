#!/usr/bin/env bash
# Does a GPU write the same text every time, in the same memory? bench/README.md says what is measured and printed.
set -euo pipefail
usage='usage: scripts/soak_gpu.sh metal|cuda|opencl MODEL.gguf [PROMPT]
       scripts/soak_metal.sh MODEL.gguf [PROMPT]

Generate a text on a GPU again and again. Fails if the text changes, or if the program needs more and more memory.

Environment: ITERATIONS (20): runs after the first; MAX_RSS_GROWTH_KB (262144): most growth from the first run to the last;
BIN (build/mini-cllm), N_TOKENS (32), TEMPERATURE (0.0), TOP_P (0.9), TOP_K (40), SEED (42), GPU_LAYERS (9999).
Exit status: 0 done, 1 failed or wrong usage, 130 stopped by Ctrl-C.'
N_TOKENS=${N_TOKENS:-32}
# shellcheck source=bench/measure.sh
. "$(dirname "${BASH_SOURCE[0]}")/../bench/measure.sh"
ITERATIONS=${ITERATIONS:-20}
MAX_RSS_GROWTH_KB=${MAX_RSS_GROWTH_KB:-262144}
arguments 2 3 "$@"
device=$1
is_gpu "$device" || fail "'$device' is not metal, cuda or opencl"
if ! is_count "$ITERATIONS" || [ "$ITERATIONS" -lt 1 ]; then fail "ITERATIONS: '$ITERATIONS' is not a number from 1"; fi
is_count "$MAX_RSS_GROWTH_KB" || fail "MAX_RSS_GROWTH_KB: '$MAX_RSS_GROWTH_KB' is not a number"
prepare "$2" "${3:-Hello}"

# Make one run; its memory is in $rss_kb.
soak() {
    run "$device" "$N_TOKENS"
    rss_kb=$(peak_memory)
    [ "$rss_kb" ] || fail "$BIN does not tell its peak memory"
}

soak
baseline_rss_kb=$rss_kb max_rss_kb=$rss_kb
cp "$text" "$temporary/first"
for ((i = 1; i <= ITERATIONS; i++)); do
    soak
    cmp -s "$temporary/first" "$text" || fail "run $i of $ITERATIONS on $device wrote another text than the first run"
    [ "$rss_kb" -le "$max_rss_kb" ] || max_rss_kb=$rss_kb
    echo "$(sed -n 's/real_s: //p' "$times") $(speed)" >>"$temporary/figures"
done
rss_growth_kb=$((rss_kb - baseline_rss_kb))

echo "=== mini-cllm soaked on $device ==="
echo "model: $model"
echo "iterations: $ITERATIONS"
echo "n_tokens: $N_TOKENS"
echo "gpu_layers: $GPU_LAYERS"
echo "baseline_rss_kb: $baseline_rss_kb"
echo "last_rss_kb: $rss_kb"
echo "max_rss_kb: $max_rss_kb"
echo "rss_growth_kb: $rss_growth_kb"
awk '{ seconds += $1; speeds += $2 } $2 == "nan" { unknown = 1 }
    END { printf "avg_real_s: %.3f\n", seconds / NR
        if (unknown) print "avg_tokens_per_second: nan"; else printf "avg_tokens_per_second: %.3f\n", speeds / NR }' \
    "$temporary/figures"
[ $rss_growth_kb -le "$MAX_RSS_GROWTH_KB" ] ||
    fail "the program takes $rss_growth_kb KiB more memory than at first, more than MAX_RSS_GROWTH_KB=$MAX_RSS_GROWTH_KB allows"
