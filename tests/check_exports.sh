#!/bin/sh
# Both libraries export exactly the functions that cllm.h declares, and have no variable that may change. Prints TAP.
# Usage: check_exports.sh BUILD
set -u
build=$1

declared=$(sed -n '/^CLLM_API/s/.*[ *]\(cllm_[a-z0-9_]*\)(.*/\1/p' include/cllm.h | LC_ALL=C sort)

# The defined global names of a library, without Apple's leading underscore. Sanitizers add names of their own.
names() { nm "$@" | awk 'NF == 3 { print $3 }' | sed 's/^_cllm/cllm/' | grep -v -E '^_*(odr_)?asan|^__(u|a)san' | LC_ALL=C sort; }

check() {
    if [ -n "$declared" ] && [ "$2" = "$declared" ]; then echo "ok $1 - $3"; else
        echo "not ok $1 - $3"
        only_here() { printf '%s\n' "$1" "$2" "$2" | sort | uniq -u | sed "s/^/# $3: /"; }
        only_here "$2" "$declared" "offered, but not declared"
        only_here "$declared" "$2" "declared, but not offered"
    fi
}

echo 1..3
case $(uname -s) in
Darwin) shared=$(names -g -U "$build"/libcllm.*.dylib) ;;
*) shared=$(names -D --defined-only "$build"/libcllm.so.*) ;;
esac
check 1 "$shared" "the shared library offers what cllm.h declares"
case $(uname -s) in
Darwin) static=$(names -g -U "$build"/libcllm.a) ;;
*) static=$(names -g --defined-only "$build"/libcllm.a) ;;
esac
check 2 "$static" "the static library offers what cllm.h declares"

# The variables in writable sections. (Constants that hold addresses are in .data.rel.ro.) Sanitizers add variables.
if [ -n "${SANITIZE:-}" ] || [ "$(uname -s)" = Darwin ]; then
    echo 'ok 3 - the library keeps no global state # SKIP sections are looked at on Linux, without sanitizers'
else
    variables=$(objdump -t "$build"/libcllm.a | awk '$3 == "O" && $4 ~ /^\.(data|bss|tdata|tbss)/ && $4 !~ /^\.data\.rel\.ro/ { print $NF }')
    if [ -z "$variables" ]; then echo 'ok 3 - the library keeps no global state'; else
        echo 'not ok 3 - the library keeps no global state'
        echo "$variables" | sed 's/^/# variable: /'
    fi
fi
