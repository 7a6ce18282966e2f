#!/usr/bin/env bash
# How fast a GPU generates, compared with the CPU, and a limit that it must reach. bench/README.md says what is
# measured and printed.
set -euo pipefail
usage='usage: bench/bench_gpu.sh metal|cuda|opencl MODEL.gguf [PROMPT]
       bench/bench_metal.sh MODEL.gguf [PROMPT]

Measure how fast mini-cllm generates on the CPU and on a GPU. A first run of one token checks that the GPU works.

Environment: BIN (build/mini-cllm), N_TOKENS (64), TEMPERATURE (0.0), TOP_P (0.9), TOP_K (40), SEED (42), GPU_LAYERS (9999);
ENFORCE_MIN_SPEEDUP=1 fails if the GPU is not at least MIN_SPEEDUP (2.0) times as fast as the CPU;
SKIP_PREFLIGHT=1 leaves out the run of one token.
Exit status: 0 done, 1 failed or wrong usage, 2 slower than MIN_SPEEDUP, if ENFORCE_MIN_SPEEDUP=1, 130 stopped by Ctrl-C.'
# shellcheck source=bench/measure.sh
. "$(dirname "${BASH_SOURCE[0]}")/measure.sh"
MIN_SPEEDUP=${MIN_SPEEDUP:-2.0}
ENFORCE_MIN_SPEEDUP=${ENFORCE_MIN_SPEEDUP:-0}
arguments 2 3 "$@"
device=$1
is_gpu "$device" || fail "'$device' is not metal, cuda or opencl"
is_number "$MIN_SPEEDUP" || fail "MIN_SPEEDUP: '$MIN_SPEEDUP' is not a number"
prepare "$2" "${3:-The answer is}"

[ "${SKIP_PREFLIGHT:-0}" = 1 ] || run "$device" 1
echo "=== mini-cllm on the CPU and on $device ==="
echo "model: $model"
echo "prompt: $prompt"
echo "n_tokens: $N_TOKENS"
echo "gpu_layers: $GPU_LAYERS"
echo "min_speedup: $MIN_SPEEDUP"
echo "enforce_min_speedup: $ENFORCE_MIN_SPEEDUP"
echo
section cpu
cpu_speed=$tokens_per_second
section "$device"
speedup=$(awk -v cpu="$cpu_speed" -v gpu="$tokens_per_second" 'BEGIN {
    if (cpu == "nan" || gpu == "nan" || cpu + gpu == 0) print "nan"
    else if (cpu + 0 == 0) print "inf"
    else printf "%.3f\n", gpu / cpu }')
echo "speedup_vs_cpu: ${speedup}x"

[ "$ENFORCE_MIN_SPEEDUP" = 1 ] || exit 0
if ! is_number "$speedup"; then
    echo "benchmark gate failed: a speedup of ${speedup}x is not a number" >&2
    exit 2
elif ! awk -v got="$speedup" -v least="$MIN_SPEEDUP" 'BEGIN { exit !(got + 0 >= least + 0) }'; then
    echo "benchmark gate failed: the speedup of ${speedup}x is below ${MIN_SPEEDUP}x" >&2
    exit 2
fi
echo "benchmark gate passed: the speedup of ${speedup}x is at least ${MIN_SPEEDUP}x"
