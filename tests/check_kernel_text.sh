#!/bin/sh
# The kernel text, checked in each of its three languages: tests/check_kernel_text.sh BUILD. clang type-checks it as
# OpenCL and, with tests/lookalike/shim, as Metal; NVRTC and ptxas (or nvcc) compile it as CUDA, and also report the
# registers and memory of each kernel. tests/lint_kernels.py finds faults that none of these compilers reports.
# Faults planted in copies show that each check can fail. Prints TAP.
set -u
. tests/support/checks.sh

print=$1/tests/print_kernel_text shim=tests/lookalike
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
said=$work/said
PATH=$PATH:/usr/local/cuda/bin
[ -z "${SANITIZE:-}" ] || skip_all "the text is the same for a sanitizer: $SANITIZE"
[ -x "$print" ] || skip_all "no $print: run make tests"
few='Q4_K IQ4_XS BF16' # used where all types would take too long
pip=build/cuda         # NVIDIA's compilers, if scripts/setup ci installed them
to_install='needs NVRTC and ptxas: scripts/setup ci'

# ------------------------------------------------------------------------------------------------- the compilers

opencl() { # FILE: a device that has no double
    clang -x cl -cl-std=CL1.2 -target spir64 -Xclang -finclude-default-header -Xclang -cl-ext=-cl_khr_fp64 -fsyntax-only \
        -Wall -Wextra -Wno-unused-parameter -Werror "$1"
}

metal() { # FILE
    clang++ -x c++ -std=c++17 -DSHIM_ADDRESS_SPACES -D__METAL_VERSION__=300 -I$shim/shim -I$shim -fsyntax-only \
        -Wall -Wextra -Wdouble-promotion -Wno-unknown-attributes -Wno-ignored-attributes -Wno-unknown-pragmas \
        -Wno-unused-parameter -Werror "$1"
}

compile_cuda() { python3 tests/support/compile_cuda.py "$pip" "$@"; }

# FILE ARCHITECTURE: down to machine code, since only that step reads the assembly in dialect.h
cuda() {
    if command -v nvcc >/dev/null; then
        nvcc -x cu -arch="$2" -cubin -G --fmad=false -Werror all-warnings --diag-suppress 177 -o "$work/cubin" "$1"
    else
        compile_cuda check 12 "$1" "$2"
    fi
}
nvrtc11() { compile_cuda check 11 "$@"; }
nvrtc12() { compile_cuda check 12 "$@"; }

# --------------------------------------------------------------------------------------------------- the checks

text() { # FILE SIMD MATRICES KV_HALF [TYPE...]
    file=$1
    shift
    "$print" "$@" >"$file" && [ -s "$file" ]
}

takes() { # COMPILER "ARCHITECTURE" SIMD MATRICES KV_HALF [TYPE...]
    compiler=$1 architecture=$2
    shift 2
    text "$work/text" "$@" && "$compiler" "$work/text" $architecture
}

# The compiler accepts the text; after the sed SCRIPT plants a fault in it, the compiler must complain.
refuses() { # COMPILER "ARCHITECTURE" MATRICES SCRIPT COMPLAINT
    case $1 in
    opencl | metal) text "$work/text" "$3" "$3" 1 ;;
    *) text "$work/text" "$3" "$3" 1 Q4_K ;;
    esac || return 1
    # shellcheck disable=SC2086 # an architecture or nothing
    "$1" "$work/text" $2 || { echo 'the text is refused without the fault' && return 1; }
    sed "$4" "$work/text" >"$work/spoiled"
    ! cmp -s "$work/text" "$work/spoiled" || { echo 'the fault is not planted' && return 1; }
    ! "$1" "$work/spoiled" $2 >"$work/complaints" 2>&1 || { echo 'the fault is not seen' && return 1; }
    grep -q "$5" "$work/complaints" || { cat "$work/complaints" && return 1; }
}

check_opencl() {
    printf 'kernel void f(global float *x) { x[0] = exp(x[0]); }\n' >"$work/trial"
    if ! opencl "$work/trial" >/dev/null 2>&1; then
        for what in 'OpenCL C, keys and values of 32 bits' 'OpenCL C, of 16 bits' 'OpenCL C: planted faults'; do
            skip "$what" 'needs clang with OpenCL C: install clang'
        done
        return
    fi
    check 'OpenCL C, keys and values of 32 bits' takes opencl '' 0 0 0
    check 'OpenCL C, of 16 bits' takes opencl '' 0 0 1
    planted_in_opencl() {
        refuses opencl '' 0 's/LOCAL float \*s, int/DEVICE float *s, int/' 'changes address space' &&
            refuses opencl '' 0 's/PRIVATE unit \*w) {/DEVICE unit *w) {/' 'changes address space' &&
            refuses opencl '' 0 's/float squares = 0.0f/float squares = 0.0/' 'double precision constant' &&
            refuses opencl '' 0 's/LOCAL_ARRAY(float, s, GROUP)/if (p.n > 0) { LOCAL_ARRAY(float, late, GROUP); }&/' \
                'outermost scope' &&
            refuses opencl '' 0 's/LOCAL const float \*weights, LOCAL/const float *weights, LOCAL/' 'address space'
    }
    check 'OpenCL C: planted faults' planted_in_opencl
}

check_metal() {
    printf '#include <metal_stdlib>\nstatic inline float f(device float *x) { return x[0]; }\n' >"$work/trial"
    if ! metal "$work/trial" >/dev/null 2>"$work/why" && ! command -v clang++ >/dev/null; then
        for what in 'Metal, keys and values of 32 bits' 'Metal, of 16 bits, SIMD' 'Metal, of 16 bits, SIMD and matrices' \
            'Metal: planted faults'; do
            skip "$what" 'needs clang++: install clang'
        done
        return
    fi
    check 'Metal, keys and values of 32 bits' takes metal '' 0 0 0
    check 'Metal, of 16 bits, SIMD' takes metal '' 1 0 1
    check 'Metal, of 16 bits, SIMD and matrices' takes metal '' 1 1 1
    planted_in_metal() {
        refuses metal '' 1 's/LOCAL float \*s, int/DEVICE float *s, int/' 'no matching function' &&
            refuses metal '' 1 's/PRIVATE unit \*w) {/DEVICE unit *w) {/' 'no matching function' &&
            refuses metal '' 1 's/float squares = 0.0f/double squares = 0.0f/' 'double_is_no_type_of_Metal' &&
            refuses metal '' 1 's/: EXP(x)/: EXP(1.0 * x)/' 'increases floating-point precision' &&
            refuses metal '' 1 's/const int thread_id = (int)THREAD/const int thread = (int)THREAD/' 'error'
    }
    check 'Metal: planted faults' planted_in_metal
}

# Elements of two vectors are added at once in OpenCL and Metal, but not in CUDA.
vectors='s/even\[q\] = FMA(queries.*$/const float2 twice = key + key; even[q] += twice.x;/'

# Is this compiler missing? It is tried on an empty text. Any other failure is for the checks to find.
missing() { # COMPILER ARCHITECTURE
    [ "$1" != cuda ] || ! command -v nvcc >/dev/null || return 1
    command -v python3 >/dev/null || return 0
    : >"$work/trial"
    "$1" "$work/trial" "$2" >/dev/null 2>&1
    [ $? = 3 ]
}

check_cuda() {
    if missing cuda sm_80; then
        for what in 'CUDA for sm_75' 'CUDA for sm_80, with matrices' 'CUDA for sm_90, with matrices' 'CUDA: planted faults'; do
            skip "$what" "$to_install"
        done
        return
    fi
    check 'CUDA for sm_75' takes cuda sm_75 1 0 1
    # shellcheck disable=SC2086 # a list of words
    check 'CUDA for sm_80, with matrices' takes cuda sm_80 1 1 0 $few
    # shellcheck disable=SC2086
    check 'CUDA for sm_90, with matrices' takes cuda sm_90 1 1 1 $few
    planted_in_cuda() {
        refuses cuda sm_80 1 "$vectors" 'no operator' &&
            refuses cuda sm_80 1 's/mma.sync.aligned.m16n8k8/mma.sync.aligned.m16n8k9/' 'mma' &&
            refuses cuda sm_75 0 's/^#define MATRICES.*/#define MATRICES 1/' 'sm_80'
    }
    check 'CUDA: planted faults' planted_in_cuda
}

check_nvrtc() { # COMPILER NAME
    if missing "$1" compute_80; then
        skip "$2 for compute_80" "$to_install"
        skip "$2: planted fault" "$to_install"
        return
    fi
    # shellcheck disable=SC2086
    check "$2 for compute_80" takes "$1" compute_80 1 1 1 $3
    check "$2: planted fault" refuses "$1" compute_80 1 "$vectors" 'no operator'
}

# Registers, spills and a group's memory of each kernel must not be above the table. Its limits are for one version of
# NVRTC and ptxas, the one that scripts/setup installs. If a change has a good reason to need more: print_kernel_text 1
# 1 1 $few >text; compile_cuda.py build/cuda table text 80 90 120 >tests/cuda_registers.tsv
used() {
    # shellcheck disable=SC2086
    text "$work/text" 1 1 1 $few && compile_cuda table "$work/text" 80 90 120 >"$work/used.tsv" &&
        for sm in 80 90 120; do
            for kernel in attention norm_rows tile_Q4_K multiply_normed_Q4_K_x4; do
                grep -q "^$sm	$kernel	" "$work/used.tsv" || { echo "not in the table: $kernel for sm_$sm" && return 1; }
            done
        done
}
within_limits() { used && compile_cuda compare tests/cuda_registers.tsv "$work/used.tsv"; }
exceeded() {
    awk -v OFS='\t' '$1 == 90 && $2 == "attention" { $3 -= 1 } $1 == 80 && $2 == "tile_Q4_K" { $5 -= 1 }
        $1 == 80 && $2 == "norm_qk" { $4 -= 1 } $1 == 120 && $2 == "cap" { next } { print }' tests/cuda_registers.tsv \
        >"$work/less.tsv"
    ! compile_cuda compare "$work/less.tsv" "$work/used.tsv" >"$work/complaints" || { echo 'nothing is seen' && return 1; }
    cat "$work/complaints"
    for complaint in 'sm_90, attention: .* registers, more' 'sm_80, tile_Q4_K: .* bytes of a group, more' \
        'sm_80, norm_qk: 0 bytes spilt, more' 'sm_120, cap: .* registers, more than -1'; do
        grep -q "$complaint" "$work/complaints" || return 1
    done
}
check_registers() {
    if missing nvrtc12 sm_80; then
        skip 'registers, spills and memory of a group' "$to_install"
        skip 'lower limits' "$to_install"
        return
    fi
    check 'registers, spills and memory of a group are within limits' within_limits
    check 'lower limits are exceeded' exceeded
}

# ---------------------------------------------------------------------------------------------------- the lint

lint() { python3 tests/lint_kernels.py "$@"; }

# The lint must complain about a text with the line CODE added, or with one FILE of it changed by the sed SCRIPT.
lint_finds() { # COMPLAINT CODE | COMPLAINT FILE SCRIPT
    rm -rf "$work/lint" && mkdir "$work/lint" && cp src/gpu/*.gpu src/gpu/kernel_args.h "$work/lint" || return 1
    if [ $# -eq 2 ]; then printf '%s\n' "$2" >>"$work/lint/kernels.gpu"; else
        sed "$3" "src/gpu/$2" >"$work/lint/$2"
        ! cmp -s "src/gpu/$2" "$work/lint/$2" || { echo "not planted: $3" && return 1; }
    fi
    ! lint "$work"/lint/* >"$work/complaints" 2>&1 || { echo "not seen: $*" && return 1; }
    # this, and nothing else
    if grep -v "$1" "$work/complaints" || ! grep -q "$1" "$work/complaints"; then echo "for: $*" && return 1; fi
}

recursion() {
    lint_finds 'down calls itself' 'FN int down(int n) { return n > 0 ? down(n - 1) : 0; }' &&
        lint_finds 'calls itself' '#define AGAIN(n) deep(n)
FN int deep(int n) { return n > 0 ? AGAIN(n - 1) : 0; }' &&
        lint_finds 'without its body' 'FN int later(int n);' &&
        lint_finds 'calls itself' quants.gpu 's/^FN void load_nibbles(.*/&\n    JOIN(unit_, Q4_0)(bytes, 0, 0, 0);/'
}
jumps() { lint_finds 'goto' 'FN int f(int n) { if (n > 0) goto end; n = 1; end: return n; }'; }
pointers() {
    lint_finds 'what memory' 'FN float f(const float *x) { return x[0]; }' &&
        lint_finds 'what memory' 'FN float f(DEVICE float *x) { float *y = x; return y[0]; }' &&
        lint_finds 'what memory' 'FN uint f(DEVICE float *x) { return ((const uint *)x)[0]; }' &&
        lint_finds 'what memory' 'FN float f(unit *x) { return x->q[0]; }' &&
        lint_finds 'what memory' 'typedef struct pair { float *first; } pair;' &&
        lint_finds 'an array as a parameter' 'FN float f(float x[4]) { return x[0]; }' &&
        lint_finds 'no pointer' 'FN float f(int i) { LOCAL float x; x = 0.0f; return x; }'
}
literals() {
    lint_finds 'is a double' 'FN float f(float x) { return 0.5 * x; }' &&
        lint_finds 'is a double' 'FN float f(float x) { return 1e3 * x; }' &&
        lint_finds 'is a double' kernels.gpu 's/MASKED -1e30f/MASKED -1e30/'
}
types() {
    for type in double half bool size_t long; do
        lint_finds "$type is" "FN int f(int n) { $type x = n; return (int)x; }" &&
            lint_finds "$type is" "FN int f(int n) { return (int)($type)n; }" || return 1
    done
}
threads() {
    lint_finds 'THREAD outside' 'FN int f(int n) { return n + (int)THREAD; }' &&
        lint_finds 'GROUP_X outside' kernels.gpu 's/^#define MASKED.*/&\n#define WHERE ((int)GROUP_X)/'
}
arrays() {
    lint_finds 'LOCAL_ARRAY' 'FN void f(int n) { LOCAL_ARRAY(float, x, 4); x[0] = (float)n; }' &&
        lint_finds 'LOCAL_ARRAY' kernels.gpu 's/^    float squares = 0.0f;/&\n    LOCAL_ARRAY(float, late, 4);/' &&
        lint_finds 'LOCAL_ARRAY' products.gpu 's/^        unit w;/&\n        LOCAL_ARRAY(float, deep, 4);/'
}
names() {
    for name in thread kernel device constant half global generic sampler class template this or; do
        lint_finds "$name is" "FN int f(int n) { const int $name = n; return $name; }" || return 1
    done
    lint_finds "own name" 'FN int f(int n) { return __popc(n); }' && lint_finds 'extension of C' \
        'FN float f(DEVICE float *restrict x) { return x[0]; }' && lint_finds 'without FN' 'int f(int n) { return n; }'
}

check_lint() {
    if ! command -v python3 >/dev/null; then
        for what in 'the lint' recursion jumps pointers literals types threads arrays names; do
            skip "$what" 'needs python3: install python3'
        done
        return
    fi
    check 'the lint finds nothing in the text' lint src/gpu/*.gpu src/gpu/kernel_args.h
    check 'the lint finds recursion' recursion
    check 'the lint finds goto' jumps
    check 'the lint finds pointers that do not say where they point' pointers
    check 'the lint finds literals of type double' literals
    check 'the lint finds types that a language lacks' types
    check 'the lint finds thread ids outside of kernels' threads
    check 'the lint finds memory of the group anywhere but at the top of a kernel' arrays
    check 'the lint finds names that a language has for itself' names
}

echo 1..26
check_opencl
check_metal
check_cuda
check_nvrtc nvrtc11 'NVRTC of CUDA 11' "$few"
check_nvrtc nvrtc12 'NVRTC of CUDA 12' ''
check_registers
check_lint
