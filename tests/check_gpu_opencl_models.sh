#!/bin/sh
# The shared models on OpenCL: tests/check_gpu_opencl_models.sh BUILD
set -u
device=opencl build=$1
. tests/support/gpu_suite.sh
gpu_models
