#!/bin/sh
# The demo model on OpenCL: tests/check_gpu_opencl.sh BUILD
set -u
device=opencl build=$1
. tests/support/gpu_suite.sh

limited() { # COMMAND: on a device with 1 GiB of memory; the keys and values of one layer take 512 MiB
    POCL_MEMORY_LIMIT=1 $program models/demo.gguf -n 1 --device opencl --ctx 1048576 "$@" >"$temporary/out" 2>"$temporary/err"
    status=$?
    cat "$temporary/err"
    return $status
}
fewer_layers_fit() {
    ! limited --gpu-layers 3 && grep -q '3 layers need .*; at most 1 layer fits; a smaller context' "$temporary/err" &&
        limited && grep -q ': 1 of 4 layers fit; a smaller --ctx' "$temporary/err"
}
check 'opencl: layers that do not fit are left to the CPU, or refused' fewer_layers_fit
check 'opencl: auto passes a CPU by and says so' ends 0 '(no GPU)' models/demo.gguf -n 1 --device auto -v
gpu_suite
