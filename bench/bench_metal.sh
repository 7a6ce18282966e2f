#!/bin/sh
# bench_gpu.sh for Metal: bench/bench_metal.sh MODEL.gguf [PROMPT]
SKIP_PREFLIGHT=${SKIP_METAL_PREFLIGHT:-${SKIP_PREFLIGHT:-0}} exec "$(dirname "$0")/bench_gpu.sh" metal "$@"
