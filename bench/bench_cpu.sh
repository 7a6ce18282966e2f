#!/usr/bin/env bash
# How fast the CPU generates: the baseline for bench_gpu.sh. bench/README.md says what is measured and printed.
set -euo pipefail
usage='usage: bench/bench_cpu.sh MODEL.gguf [PROMPT]

Measure how fast mini-cllm generates on the CPU, after a run of one token that warms up.

Environment: BIN (build/mini-cllm), N_TOKENS (64), TEMPERATURE (0.0), TOP_P (0.9), TOP_K (40), SEED (42);
SKIP_PREFLIGHT=1 leaves out the run of one token.
Exit status: 0 done, 1 failed or wrong usage, 130 stopped by Ctrl-C.'
# shellcheck source=bench/measure.sh
. "$(dirname "${BASH_SOURCE[0]}")/measure.sh"
arguments 1 2 "$@"
prepare "$1" "${2:-The answer is}"

[ "${SKIP_PREFLIGHT:-0}" = 1 ] || run cpu 1
echo '=== mini-cllm on the CPU ==='
echo "model: $model"
echo "prompt: $prompt"
echo "n_tokens: $N_TOKENS"
echo
section cpu
echo 'generated_text:'
cat "$text"
