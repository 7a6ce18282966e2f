#!/bin/sh
# The model on CUDA: tests/check_gpu_cuda.sh BUILD, over the look-alike of NVIDIA's libraries.
set -u
device=cuda build=$1
program="env LD_LIBRARY_PATH=$build/lookalike_cuda $build/mini-cllm"
reason=$($program models/demo.gguf --device cuda -n 1 -q 2>&1 >/dev/null) || {
    echo "1..0 # SKIP $reason (Debian: clang)"
    exit 0
}
. tests/support/gpu_suite.sh
gpu_suite quick
