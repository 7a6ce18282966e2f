#!/bin/sh
# The kernel text against the three languages that it is written in at once: tests/check_kernel_text.sh BUILD. OpenCL's and
# Metal's side are type-checked by clang, Metal's over tests/lookalike/shim; CUDA's is compiled by nvcc and by NVRTC; and
# tests/lint_kernels.py finds what no compiler here minds. Faults planted in copies show that each of these can fail.
# Prints TAP.
set -u
. tests/support/checks.sh

print=$1/tests/print_kernel_text shim=tests/lookalike
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
said=$work/said
PATH=$PATH:/usr/local/cuda/bin
[ -z "${SANITIZE:-}" ] || skip_all "the text is the same for a sanitizer: $SANITIZE"
[ -x "$print" ] || skip_all "no $print: run make tests"
few='Q4_K IQ4_XS BF16' # where all types would take too long

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

cuda() { # FILE ARCHITECTURE: down to machine code, since only that step reads the assembly in dialect.h
    nvcc -x cu -arch="$2" -cubin -G --fmad=false -Werror all-warnings --diag-suppress 177 -o "$work/cubin" "$1"
}

nvrtc() { # FILE ARCHITECTURE; status 3: there is no NVRTC
    python3 - "$@" <<'PYTHON'
import ctypes, glob, os, sys

places = [f"{folder}/libnvrtc.so*" for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":")]
places += ["/usr/lib/*/libnvrtc.so*", "/usr/local/cuda/lib64/libnvrtc.so*"]
found = [path for place in places for path in sorted(glob.glob(place))]
if not found:
    sys.exit(3)
library = ctypes.CDLL(found[0])
program, size = ctypes.c_void_p(), ctypes.c_size_t()
text = open(sys.argv[1], "rb").read()
options = [b"--gpu-architecture=" + sys.argv[2].encode(), b"--fmad=false", b"--device-debug", b"--diag-suppress=177"]
if library.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels", 0, None, None):
    sys.exit("nvrtcCreateProgram fails")
failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
log = ctypes.create_string_buffer(size.value)
library.nvrtcGetProgramLog(program, log)
print(log.value.decode(errors="replace"))
sys.exit(1 if failed or b"warning" in log.value else 0)
PYTHON
}

# --------------------------------------------------------------------------------------------------- the checks

skip() { # DESCRIPTION REASON
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

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

# The fault is the sed script's, in a text that the compiler takes as it is.
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

check_cuda() {
    if ! command -v nvcc >/dev/null; then
        for what in 'CUDA for sm_75' 'CUDA for sm_80, with matrices' 'CUDA for sm_90, with matrices' 'CUDA: planted faults'; do
            skip "$what" 'needs nvcc: install nvidia-cuda-toolkit'
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

check_nvrtc() {
    : >"$work/trial"
    nvrtc "$work/trial" compute_80 >/dev/null 2>&1
    if [ $? -eq 3 ] || ! command -v python3 >/dev/null; then
        skip 'NVRTC for compute_80' 'needs python3 and NVRTC: install nvidia-cuda-toolkit'
        skip 'NVRTC: planted fault' 'needs python3 and NVRTC: install nvidia-cuda-toolkit'
        return
    fi
    check 'NVRTC for compute_80' takes nvrtc compute_80 1 1 1
    check 'NVRTC: planted fault' refuses nvrtc compute_80 1 "$vectors" 'no operator'
}

# ---------------------------------------------------------------------------------------------------- the lint

lint() { python3 tests/lint_kernels.py "$@"; }

# A text with one more line, CODE, or with what the sed script FILE SCRIPT makes of one of its files.
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

echo 1..22
check_opencl
check_metal
check_cuda
check_nvrtc
check_lint
