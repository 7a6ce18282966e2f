#!/bin/sh
# The shared models on CUDA: tests/check_gpu_cuda_models.sh BUILD
set -u
device=cuda build=$1
. tests/support/gpu_suite.sh
gpu_models
