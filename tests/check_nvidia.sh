#!/bin/sh
# What NVIDIA has for hosts without a GPU, where it is installed: tests/check_nvidia.sh BUILD. Do its compilers take the
# kernels of all tensor types, and do its headers say what src/gpu/cuda_api.h says? Prints TAP.
set -u
build=$1
. tests/support/checks.sh

lookalike=$build/lookalike_cuda
work=$(mktemp -d)
said=$work/said
trap 'rm -rf "$work"' EXIT

skip() { # DESCRIPTION REASON
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

nvidia=${CUDA_HOME:-/usr/local/cuda}
PATH=$PATH:$nvidia/bin

# Every signature and value of cuda_api.h, against the headers.
same_as_headers() {
    cat >"$work/headers.c" <<'END'
#include <cuda.h>
#include <nvrtc.h>
#include "gpu/cuda_api.h"
#define SAME_VALUE(name, value) _Static_assert(name == value, #name);
CUDA_CONSTANTS(SAME_VALUE)
#define SAME_SIGNATURE(type, name, symbol, parameters) type(*pointer_to_##symbol) parameters = symbol;
CUDA_FUNCTIONS(SAME_SIGNATURE)
CUDA_GRAPH_FUNCTIONS(SAME_SIGNATURE)
NVRTC_FUNCTIONS(SAME_SIGNATURE)
END
    ${CC:-cc} -std=c17 -Werror -I"$1" -Isrc -c "$work/headers.c" -o "$work/headers.o"
}

# A function of the dialect that no kernel calls is no fault (177).
nvcc_takes() { # ARCHITECTURE MATRICES
    "$lookalike/check_driver" text "$2" >"$work/kernels.cu" || return 1
    nvcc -x cu -std=c++17 -fmad=false -arch="sm_$1" -cubin -Werror all-warnings -diag-suppress 177 "$work/kernels.cu" \
        -o "$work/kernels.cubin"
}
# The driver over the look-alike of libcuda, from a folder without that of NVRTC, and the real NVRTC.
nvrtc_takes() { # ARCHITECTURE MATRICES
    mkdir -p "$work/libcuda" && cp "$lookalike/libcuda.so.1" "$work/libcuda" || return 1
    LOOKALIKE_CUDA_ARCH=$1 LD_LIBRARY_PATH=$work/libcuda "$lookalike/check_driver" kernels "$2"
}

[ -e "$lookalike/libcuda.so.1" ] || skip_all 'the look-alike of CUDA is made for Linux alone'
if [ -e "$nvidia/include/cuda.h" ] && [ -e "$nvidia/include/nvrtc.h" ]; then
    check "cuda_api.h says what NVIDIA's headers say" same_as_headers "$nvidia/include"
else
    skip "cuda_api.h says what NVIDIA's headers say" 'cuda.h or nvrtc.h is missing (Debian: nvidia-cuda-dev)'
fi
# Half a minute each, so the settings are shared out among the two, which are one compiler inside.
for target in '75 0' '80 1' '90 1'; do
    description="the kernels for sm_${target% *}, MATRICES=${target#* }"
    # shellcheck disable=SC2086 # two words
    if [ -e "$nvidia/lib64/libnvrtc.so" ] || ldconfig -p 2>"$said" | grep -q libnvrtc; then
        check "NVRTC takes $description" nvrtc_takes $target
    else
        skip "NVRTC takes $description" 'libnvrtc is missing (Debian: nvidia-cuda-toolkit)'
    fi
done
for target in '80 0' '90 0' '90 1'; do
    description="the kernels for sm_${target% *}, MATRICES=${target#* }"
    # shellcheck disable=SC2086 # two words
    if command -v nvcc >"$said"; then check "nvcc takes $description" nvcc_takes $target; else
        skip "nvcc takes $description" 'nvcc is missing (Debian: nvidia-cuda-toolkit)'
    fi
done
echo "1..$n"
