#!/bin/sh
# Measure the three series of bench/README.md: bench/run.sh NAME MODEL.gguf... [options of mini-cllm bench], from the
# top of the repository, on an idle machine.
#
# Environment: BUILD=build, COUNTS=1,2,4..., DEPTHS=0,512..., RESULTS=bench/results
set -eu
[ $# -ge 2 ] || { echo 'usage: bench/run.sh NAME MODEL.gguf... [options of mini-cllm bench]' >&2 && exit 2; }
name=$1
shift
program=${BUILD:-build}/mini-cllm
results=${RESULTS:-bench/results}
cores=$(getconf _NPROCESSORS_ONLN)
threads=1
count=2
while [ "$count" -le "$cores" ]; do
    threads=$threads,$count
    count=$((count * 2))
done
mkdir -p "$results"

cpu() { sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 | grep . || sysctl -n machdep.cpu.brand_string 2>/dev/null || uname -m; }

# The words of a command on one line, in quotes if the shell needs them.
words() {
    for word; do
        case $word in
        *[!A-Za-z0-9_./,=-]*) word="'$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'" ;;
        esac
        printf ' %s' "$word"
    done | tr '\n' ' '
}

# series WORD OPTIONS...: measures a series into a file, which appears only when it is complete
series() {
    file=$results/$name-$1.csv
    shift
    {
        printf '#%s\n' "$(words "$program" bench "$@" --csv)"
        echo "# CPU: $(cpu), $cores cores"
        echo "# system: $(uname -srm)"
        echo "# date: $(date -u +%Y-%m-%d)"
        echo "# version: $("$program" --version)$(git describe --always --dirty 2>/dev/null | sed 's/^/, /')"
        "$program" bench "$@" --csv
    } >"$file.part" || { rm -f "$file.part" && return 1; }
    mv "$file.part" "$file"
    echo "$file"
}

series batch "$@" -n 0 --batch "${COUNTS:-1,2,4,8,16,32,64,128,256,512}"
series depth "$@" --depth "${DEPTHS:-0,512,1024,2048,4096}"
series threads "$@" --threads "$threads"
