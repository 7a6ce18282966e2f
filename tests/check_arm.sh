#!/bin/sh
# The kernels for arm64, on another machine: tests/check_arm.sh BUILD. `make arm` builds the kernel tests and the
# program into BUILD/arm with a cross compiler, and qemu runs them on CPUs with all of the instructions, some, and
# none. Prints TAP.
set -u
. tests/support/checks.sh

arm=$1/arm host=$1/mini-cllm tools=aarch64-linux-gnu
demo=models/demo.gguf stories=${MINICLLM_SHARED:-../shared}/models/stories260K.gguf
[ -z "${SANITIZE:-}" ] || skip_all 'the emulated program is the same with and without sanitizers'
for tool in $tools-gcc qemu-aarch64 pkg-config; do
    command -v "$tool" >/dev/null || skip_all "$tool is missing: run scripts/setup ci"
done

mkdir -p "$arm" || exit 1
said=$arm/said

build_all() { # builds it if it is not built yet
    MAKEFLAGS='' make BUILD="${arm%/arm}" arm
    [ ! -s "$arm/log" ] || cat "$arm/log"
    [ -x "$arm/check_kernels" ] && [ -x "$arm/mini-cllm" ]
}

# All tests of check_kernels.c except the first, which belongs to no instruction set. One may be skipped if the shared
# data are missing.
n_kernel_tests=$(($(grep -c 'cmocka_unit_test(' tests/check_kernels.c) - 1))
kernel_tests() { # ISA
    qemu-aarch64 -cpu max "$arm/check_kernels" "$1" || return 1
    [ "$(grep -c "^ok [0-9]* - $1: " "$said")" = "$n_kernel_tests" ] && [ "$(grep -c SKIP "$said")" -le 1 ]
}

prompt='Once upon a time there was a squirrel who lived in a hollow tree' # several tokens at once
program() { # CPU MODEL ISA
    qemu-aarch64 -cpu "$1" "$arm/mini-cllm" "$2" -p "$prompt" -t 0 -n 160 --threads 2 --cpu-isa "$3" -v
}

tells() { # CPU MODEL ISA FILE: the kernels of this ISA write the text of FILE
    program "$1" "$2" "$3" >"$arm/text" && grep -q ": 2 threads, $3 kernels," "$said" &&
        [ -s "$4" ] && diff "$4" "$arm/text"
}

# From quantized weights, ARM's scalar kernels must write the same text as this machine's scalar kernels, and its fast
# kernels the same text as this machine's AVX2 kernels. Without AVX2 here, neon's own text is the reference.
tells_of_quantized_weights() {
    "$host" "$demo" -p "$prompt" -t 0 -n 160 -q --cpu-isa scalar >"$arm/scalar" || return 1
    "$host" "$demo" -p "$prompt" -t 0 -n 160 -q --cpu-isa avx2 >"$arm/fast" ||
        program max "$demo" neon >"$arm/fast" || return 1
    tells max "$demo" scalar "$arm/scalar" && tells max "$demo" neon "$arm/fast" && tells max "$demo" i8mm "$arm/fast"
}

tells_of_floats() {
    prompt=''
    for isa in scalar neon i8mm; do tells max "$stories" $isa "${stories%.gguf}.greedy.story.txt" || return 1; done
}

refuses() { # CPU ISA SUPPORTED-ISAS
    ! program "$1" "$demo" "$2" && grep -qx "mini-cllm: CPU instruction set '$2' is not one of: $3" "$said"
}
offers_scalar() {
    tells cortex-a53 "$demo" scalar "$arm/scalar" && refuses cortex-a53 neon scalar && refuses cortex-a53 i8mm scalar
}
offers_neon() { tells neoverse-n1 "$demo" neon "$arm/fast" && refuses neoverse-n1 i8mm 'scalar, neon'; }

check 'a cross compiler builds the kernel tests and the program' build_all
echo "# drawn by MINICLLM_TEST_SEED=$MINICLLM_TEST_SEED"
for isa in $(draw 1 neon i8mm); do check "$isa: the kernel tests pass" kernel_tests $isa; done
check 'scalar, neon and i8mm tell the story of quantized weights that this machine tells' tells_of_quantized_weights
check 'a CPU with dot products alone is offered neon, not i8mm' offers_neon
check 'a CPU without dot products is offered scalar alone' offers_scalar
if [ -e "$stories" ]; then
    check 'scalar, neon and i8mm tell the known story of float weights' tells_of_floats
else
    skip 'scalar, neon and i8mm tell the known story of float weights' "$stories is missing"
fi
echo "1..$n"
