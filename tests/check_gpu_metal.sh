#!/bin/sh
# The demo model on Metal, or on Linux on the look-alike of tests/lookalike: tests/check_gpu_metal.sh BUILD
set -u
device=metal build=$1
. tests/support/gpu_suite.sh

fewer_layers_fit() { # the output and 2 or 3 of 4 layers
    with LOOKALIKE_METAL_MEMORY=3000000 ends 0 'layers fit; a smaller --ctx leaves room for more' models/demo.gguf -n 1 \
        --device metal --batch 8 &&
        with LOOKALIKE_METAL_MEMORY=3000000 ends 1 'of scratch); the GPU has' models/demo.gguf -n 1 --device metal --batch 8 --gpu-layers 4 || return 1
    most=$(sed -n 's/.*; at most \([0-9]*\) layer.*/\1/p' "$temporary/err")
    with LOOKALIKE_METAL_MEMORY=3000000 ends 0 '' models/demo.gguf -n 1 --device metal --batch 8 --gpu-layers "$most" &&
        with LOOKALIKE_METAL_MEMORY=3000000 ends 1 'of scratch); the GPU has' models/demo.gguf -n 1 --device metal --batch 8 \
            --gpu-layers $((most + 1))
}

if [ "$lookalike" ]; then
    check 'no device: one line, status 1' with LOOKALIKE_METAL_FAULT=device demo 1 '--device metal: Metal finds no GPU'
    check 'no device: auto runs, and says why' with LOOKALIKE_METAL_FAULT=device demo 0 'Metal finds no GPU' auto
    check 'a kernel that does not compile: auto runs' with LOOKALIKE_METAL_FAULT=library demo 0 'cannot compile' auto
    check 'a kernel without a pipeline: status 1' with LOOKALIKE_METAL_FAULT=pipeline demo 1 'cannot make a pipeline'
    check 'no memory for a buffer: status 1' with LOOKALIKE_METAL_FAULT=allocate:9 demo 1 'gives no buffer'
    check 'the second of three devices: after the default one come the others as Metal lists them' with LOOKALIKE_METAL_DEVICES=3 ends 0 'device: metal, Look-alike 2 of Metal' \
        models/demo.gguf -n 1 --device metal --device-index 1
    check 'a fourth of three devices: status 1' with LOOKALIKE_METAL_DEVICES=3 \
        ends 1 'metal has 3 devices; there is no device 3' models/demo.gguf -n 1 --device metal --device-index 3
    check 'auto takes the GPU' demo 0 'device: metal' auto
    check 'a device that fails ends the text with its message' fails_midway LOOKALIKE_METAL_FAULT=command:30 \
        'mini-cllm: the GPU failed'
    check 'weights that cannot be read in place are copied' with LOOKALIKE_METAL_FAULT=nocopy same_story models/demo.gguf
    check 'layers that do not fit are left to the CPU, or refused' fewer_layers_fit
    check 'a buffer that is too large for the device: status 1' \
        with LOOKALIKE_METAL_LARGEST=300000 ends 1 'layers need a buffer of 1 MiB' models/demo.gguf -n 1 --device metal --gpu-layers 4
    check 'threads in reversed order' with LOOKALIKE_METAL_REVERSE=1 same_story models/demo.gguf
    check 'an older device, without SIMD sums' with LOOKALIKE_METAL_FAMILY=5 same_bits models/demo.gguf 20
fi
gpu_suite
