#!/bin/sh
# The include rule: which folder may include which. Prints TAP; each violation is named as file:line.
set -u
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the sources are the same for a sanitizer: $SANITIZE"

# Of the files on standard input (paths from the top of the repository): every violation.
violations() {
    xargs awk '
        function may(room, rooms, n, i, list) {
            n = split(rooms, list, " ")
            for (i = 1; i <= n; i++) allowed[room, list[i]] = 1
            known[room] = 1
        }
        BEGIN {
            may("base", "base")
            may("gguf", "base gguf")
            may("text", "base gguf text")
            may("model", "base gguf model")
            may("chat", "base gguf chat")
            may("cpu", "base gguf model cpu")
            may("gpu", "base gguf model gpu")
            may("sampling", "base text sampling")
            may("engine", "base gguf text model cpu gpu sampling engine")
            may("programs", "server") # programs/server
        }
        function complain(what) { print FILENAME ":" FNR ": " what }
        FNR == 1 {
            split(FILENAME, part, "/")
            room = part[1] == "src" ? part[2] : part[1]
            if (part[1] == "src" && !(room in known)) complain("src/" room " is not in the table of this check")
        }
        /^[ \t]*#[ \t]*include/ {
            header = $0
            if (header !~ /["<][^">]*[">]/) { complain("an include that this check cannot read: " $0); next }
            sub(/^[^"<]*["<]/, "", header)
            sub(/[">].*/, "", header)
            ours = header ~ /^(base|gguf|text|model|chat|cpu|gpu|sampling|engine|support)\// || $0 ~ /"/
            if (!ours || header == "cllm.h") next
            if (header ~ /\.c$/) { complain("includes a source file, " header); next }
            if (header ~ /\.\./) { complain("leaves its folder by \"..\": " header); next }
            to = header ~ /\// ? header : room "/"
            sub(/\/.*/, "", to)
            if (room == "programs" && to == "server") next
            if (room == "tests" || to == room && room != "include" && room != "examples") next
            if (!((room, to) in allowed)) complain((part[1] == "src" ? "src/" room : room) " may not include " header)
        }'
}

sources() { find "$1" -name .git -prune -o -name '*.[chm]' -print | sed 's|^\./||' | grep -E "^$folders/" | LC_ALL=C sort; }
folders='(include|src|programs|tests|examples|bench)'

echo 1..2
found=$(sources . | violations)
[ "$(sources include)" = include/cllm.h ] || found="no include/cllm.h: is this the top of the repository?"
if [ -z "$found" ]; then echo "ok 1 - the include rule holds"; else
    echo "not ok 1 - the include rule holds"
    echo "$found" | sed 's/^/# /'
fi

# Every rule, broken on purpose in a tree of its own.
planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
plant() { mkdir -p "$planted/${1%/*}" && printf '#include <stdio.h>\n%s\n' "$2" >"$planted/$1"; }
plant src/base/a.c '#include "gguf/gguf.h"'
plant src/gguf/a.h '#include "model/config.h"'
plant src/text/a.c '#include "model/config.h"'
plant src/model/a.c '  #  include <text/tokenizer.h>'
plant src/cpu/a.c '#include "gpu/driver.h"'
plant src/gpu/a.m '#include "cpu/kernels.h"'
plant src/engine/a.c '#include "../programs/main.h"'
plant src/attic/a.c '#include "attic/b.h"'
plant programs/a.c '#include "base/error.h"'
plant examples/a.c '#include "support/check.h"'
plant tests/test_a.c '#include "gguf/gguf.c"'
plant include/cllm.h '#include "gguf/gguf.h"'
plant src/base/fine.c '#include "base/error.h" /* and "cllm.h" */'
plant src/engine/fine.c '#include "cpu/kernels.h"'
plant programs/fine.c '#include "options.h"'
plant tests/fine.c '#include "engine/engine.h"'
caught=$(cd "$planted" && sources . | violations | sed 's/: .*//' | sort | tr '\n' ' ')
expected='examples/a.c:2 include/cllm.h:2 programs/a.c:2 src/attic/a.c:1 src/base/a.c:2 src/cpu/a.c:2'
expected="$expected src/engine/a.c:2 src/gguf/a.h:2 src/gpu/a.m:2 src/model/a.c:2 src/text/a.c:2 tests/test_a.c:2 "
if [ "$caught" = "$expected" ]; then echo "ok 2 - planted violations are caught, and nothing else"; else
    echo "not ok 2 - planted violations are caught, and nothing else"
    echo "# expected $expected"
    echo "# caught   $caught"
fi
