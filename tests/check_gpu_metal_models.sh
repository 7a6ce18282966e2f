#!/bin/sh
# The shared models on Metal: tests/check_gpu_metal_models.sh BUILD
set -u
device=metal build=$1
. tests/support/gpu_suite.sh
[ -z "$lookalike" ] || [ ! -e "$shared/models/stories260K.gguf" ] || check 'an older device, in reversed order' \
    with LOOKALIKE_METAL_FAMILY=5 LOOKALIKE_METAL_REVERSE=1 right_splits "$shared/models/stories260K.gguf" 5 20
gpu_models
