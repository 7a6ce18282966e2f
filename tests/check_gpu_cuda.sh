#!/bin/sh
# The demo model on CUDA: tests/check_gpu_cuda.sh BUILD
set -u
device=cuda build=$1
. tests/support/gpu_suite.sh

if [ "$lookalike" ]; then
    check 'without the libraries: one line, status 1' with LD_LIBRARY_PATH= demo 1 \
        "mini-cllm: --device cuda: no CUDA: libcuda.so.1, the NVIDIA driver's library, is missing"
    check 'without the libraries: auto runs' with LD_LIBRARY_PATH= demo 0 'device: cpu, because there is no GPU' auto
    check 'no device: status 1' with LOOKALIKE_CUDA_FAULT=device demo 1 '--device cuda: '
    check 'the second of two devices' with LOOKALIKE_CUDA_DEVICES=2 ends 0 'device: cuda, Look-alike 1' models/demo.gguf -n 1 \
        --device cuda --device-index 1
    check 'auto takes the second device of the first API that has two' with LOOKALIKE_CUDA_DEVICES=2 \
        ends 0 'device: cuda, Look-alike 1' models/demo.gguf -n 1 --device auto --device-index 1
    check 'auto: no API has a second device' ends 0 'cuda has 1 device; there is no device 1' models/demo.gguf -n 1 \
        --device auto --device-index 1 -v
    check 'a kernel that does not compile: auto runs' with LOOKALIKE_CUDA_FAULT=nvrtc demo 0 'device: cpu, because ' auto
    check 'a device that fails ends the text with its message' fails_midway LOOKALIKE_CUDA_FAULT=sync:40 'mini-cllm: CUDA: '
    check 'without graphs' with LOOKALIKE_CUDA_FAULT=capture same_story models/demo.gguf
    check 'threads in reversed order' with LOOKALIKE_CUDA_REVERSE=1 same_story models/demo.gguf
fi
gpu_suite
