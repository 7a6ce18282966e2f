#!/bin/sh
# What `make install` installs works for somebody else's program: examples/continue.c builds with it by pkg-config, and
# writes what mini-cllm writes. `make stage` has installed it into BUILD/staged with PREFIX=/opt/cllm. Also what `make`
# prints. Prints TAP.
# Usage: check_install.sh BUILD
set -u
build=$(cd "$1" && pwd)
prefix=$build/staged/opt/cllm
model=models/demo.gguf prompt='Once upon a time'
export PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$build/staged"
export LD_LIBRARY_PATH="$prefix/lib" DYLD_LIBRARY_PATH="$prefix/lib"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0
check() { # check DESCRIPTION COMMAND...: one line of TAP, and the command's output if it fails
    n=$((n + 1)) description=$1
    shift
    if "$@" >"$work/said" 2>&1; then echo "ok $n - $description"; else
        echo "not ok $n - $description"
        sed 's/^/# /' "$work/said"
    fi
}

installed() {
    for file in bin/mini-cllm include/cllm.h lib/libcllm.a lib/pkgconfig/cllm.pc share/man/man1/mini-cllm.1 \
        share/doc/mini-cllm/LICENSE; do
        [ -s "$prefix/$file" ] || { echo "missing: $file" && return 1; }
    done
    "$prefix/bin/mini-cllm" --version | grep -F "$(pkg-config --modversion cllm)"
}

nothing_left() {
    find "$build/unstaged" -type f -o -type l >"$work/left" && cat "$work/left" && [ ! -s "$work/left" ]
}

compile() { # compile OUTPUT SOURCES_AND_PKG_CONFIG_OPTIONS...
    output=$1
    shift
    # shellcheck disable=SC2046,SC2086 # lists of words
    ${CC:-cc} -std=c17 -Wall -Wextra -Wpedantic -Werror ${SANITIZE:+-fsanitize=$SANITIZE} "examples/${example:-continue}.c" "$@" \
        $(pkg-config --cflags --libs $static cllm) -o "$work/$output"
}

# Two texts that are written together are the same as each written alone.
together() {
    example=batch compile batch && "$work/batch" $model "$prompt" "One day" >"$work/texts" || return 1
    for text in "$prompt" "One day"; do
        printf '%s' "$text" && "$build/mini-cllm" $model -p "$text" -q -t 0 -n 64 && echo
    done | diff - "$work/texts"
}

# A conversation of one question gives the answer that the command gives. One of two questions begins with that answer.
conversation() {
    example=chat compile chat || return 1
    "$build/mini-cllm" chat $model --chat-template chatml -q -t 0 -n 256 "$prompt" </dev/null >"$work/answer"
    [ -s "$work/answer" ] && printf '%s\n' "$prompt" | "$work/chat" $model chatml | cmp - "$work/answer" &&
        printf '%s\nOne "day"\t\\\n' "$prompt" | "$work/chat" $model chatml >"$work/answers" &&
        head -c "$(wc -c <"$work/answer")" "$work/answers" | cmp - "$work/answer" && ! cmp -s "$work/answers" "$work/answer"
}

same_text() {
    "$work/$1" $model "$prompt" >"$work/text" && [ -s "$work/expected" ] && diff "$work/expected" "$work/text"
}

check_with_model() { # COMMAND TEXT
    if [ -f $model ]; then check "$2" $1; else
        n=$((n + 1))
        echo "ok $n - $2 # SKIP no $model"
    fi
}

# For each file one short line, with V=1 the command, with -s nothing.
short_lines() {
    made() {
        rm -rf "$work/made"
        MAKEFLAGS='' make --no-print-directory BUILD="$work/made" "$@" "$work/made/obj/src/base/utf8.o"
    }
    [ "$(made V=)" = 'CC src/base/utf8.c' ] && [ -z "$(made V= -s)" ] && made V=1 | grep -q -e '-c src/base/utf8.c -o'
}

echo 1..10
check 'make install puts everything in its place' installed
check 'make uninstall leaves nothing behind' nothing_left
[ ! -f $model ] || "$build/mini-cllm" $model -p "$prompt" -q >"$work/expected"

static=''
check 'the example builds against the shared library' compile shared
check_with_model 'same_text shared' 'and writes what mini-cllm writes'
check_with_model together 'the example of a batch writes what mini-cllm writes'
check_with_model conversation 'the example of a conversation answers as mini-cllm chat does'

# An embedder may use the names that the library uses inside.
printf 'int %s;\n' error_set arena_alloc thread_pool_create reader_take >"$work/clash.c"
mkdir "$work/lib" && cp "$prefix/lib/libcllm.a" "$work/lib" # without the shared library, which the linker prefers
static=--static
check 'the example builds against the static library' compile static "-L$work/lib"
check 'whose names inside clash with none of its own' compile clash "-L$work/lib" "$work/clash.c"
check_with_model 'same_text clash' 'and writes what mini-cllm writes'
check 'make prints a short line for each file' short_lines
