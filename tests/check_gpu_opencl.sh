#!/bin/sh
# The model on OpenCL: tests/check_gpu_opencl.sh BUILD. Debian's PoCL makes an OpenCL device of the CPU.
set -u
device=opencl build=$1
program=$build/mini-cllm
reason=$($program models/demo.gguf --device opencl -n 1 -q 2>&1 >/dev/null) || {
    echo "1..0 # SKIP $reason (Debian: ocl-icd-libopencl1 pocl-opencl-icd)"
    exit 0
}
. tests/support/gpu_suite.sh
gpu_suite
