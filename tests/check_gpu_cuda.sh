#!/bin/sh
# The model on CUDA: tests/check_gpu_cuda.sh BUILD. Where there is no NVIDIA GPU, tests/lookalike_cuda stands in for the libraries
# that the driver looks for.
set -u
device=cuda build=$1
program=$build/mini-cllm
. tests/support/checks.sh
lookalike=''
case $($program models/demo.gguf --device cuda -n 1 -q 2>&1) in
*'no CUDA here'* | *'no CUDA device'* | *libnvrtc*)
    lookalike=$build/lookalike_cuda
    [ -z "${SANITIZE:-}" ] || skip_all "the look-alike of CUDA is not for a sanitizer: $SANITIZE"
    command -v clang++ >/dev/null || skip_all 'the look-alike of CUDA needs clang++ (Debian: clang)'
    [ -e "$lookalike/libcuda.so.1" ] || skip_all 'the look-alike of CUDA is for Linux'
    export LD_LIBRARY_PATH="$lookalike${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    ;;
esac
. tests/support/gpu_suite.sh
needs_device 'none: it is built, or there'

if [ "$lookalike" ]; then
    check 'without the libraries: one line, status 1' with LD_LIBRARY_PATH= demo 1 \
        "mini-cllm: --device cuda: no CUDA here: libcuda.so.1, the NVIDIA driver's library, is missing"
    check 'without the libraries: auto runs' with LD_LIBRARY_PATH= demo 0 'device: cpu, because there is no GPU' auto
    check 'no device: status 1' with LOOKALIKE_CUDA_FAULT=device demo 1 '--device cuda: '
    check 'a kernel that does not compile: auto runs' with LOOKALIKE_CUDA_FAULT=nvrtc demo 0 'device: cpu, because ' auto
    check 'a device that fails ends the text with its message' fails_midway LOOKALIKE_CUDA_FAULT=sync:40 'mini-cllm: CUDA: '
    check 'without graphs' with LOOKALIKE_CUDA_FAULT=capture same_story models/demo.gguf
    check 'threads in reversed order' with LOOKALIKE_CUDA_REVERSE=1 same_story models/demo.gguf
fi
gpu_suite ${lookalike:+quick}
