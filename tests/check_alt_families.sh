#!/bin/sh
# Models of the families that differ from those of the shared folder in sizes, head counts and weights. Their logits
# must be those that llama.cpp computes during the test: tests/check_alt_families.sh BUILD. $PEER is the program that
# computes them for the families of mkfamily.py (tools/peer of the shared folder makes it), and $PEER_EMBED for those of
# mkfamily2.py (tools/peer/embed.c); ALT_SEEDS are the seeds of the weights.
#
# If the router of a mixture of experts is so near a tie that rounding changes its choice, the logits differ by 1e-3,
# and both may be right. mkfamily2.py draws a model again until rounding hardly moves its logits. Mixtures of mkfamily.py
# are drawn again here, a few times, if the logits differ.
#
# On a CPU with AMX, llama.cpp (of November 2026) ends at an assertion for models with latent attention and gives NaN for
# gemma3n. There, let $PEER and $PEER_EMBED load another of its CPU libraries: a folder without
# libggml-cpu-sapphirerapids.so.
set -u
build=${1:?usage: tests/check_alt_families.sh BUILD}
. tests/support/checks.sh
seeds=${ALT_SEEDS:-2} most_draws=4
tools=${MINICLLM_SHARED:-../shared}/tools
python=/usr/bin/python3
[ -x "$python" ] || python=python3

[ -f "$tools/mkfamily2.py" ] || skip_all "the shared folder is not there: set MINICLLM_SHARED"
[ -x "${PEER:-}" ] || skip_all "llama.cpp is not there: set PEER to the program that the shared folder's tools/peer makes"
"$python" -c 'import numpy' 2>/dev/null || skip_all "numpy is missing: apt-get install python3-numpy"

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
# the scripts look for a vocabulary in the folder "shared" beside their own folder
mkdir "$folder/tools" && cp "$tools"/*.py "$folder/tools" && ln -s "$(cd "$tools/.." && pwd)" "$folder/shared" || exit 1
"$python" "$folder/tools/mkfamily.py" --tokens >"$folder/tokens.txt"
tokens=$(cat "$folder/tokens.txt")

said=$folder/said drawn=$folder/drawn

# Each way to draw makes the model, llama.cpp's logits or embeddings, and a table of llama.cpp's own errors in $drawn.

draw_steady() { # FAMILY SEED
    set -- "$1" "$2" ""
    [ "$1" != minicpm ] || set -- "$1" "$2" "--set=logit_scale=0.5" # without it llama.cpp and the authors differ
    "$python" "$folder/tools/mkfamily2.py" --all "$drawn" --only "$1" --alt --seed "$2" ${3:+"$3"}
}

draw() { # FAMILY SEED NUMBER
    "$python" "$folder/tools/mkfamily.py" "$1" "$drawn/$1.gguf" --alt --seed "$2" --draw "$3" &&
        PEER_KV=f32 "$PEER" logits "$drawn/$1.gguf" 1 "$tokens" "$drawn/$1.logits.f32" &&
        awk -v name="$1" '$1 == name' "$tools/../families/llama.cpp-nmse.tsv" >"$drawn/llama.cpp-nmse.tsv"
}

# Run the rest of the line, which draws a model, and compare.
compares() {
    "$@" >"$folder/peer" 2>&1 || {
        echo "the model was not drawn, or llama.cpp did not compute it:" && tail -n 3 "$folder/peer"
        return 1
    }
    MINICLLM_FAMILIES=$drawn CMOCKA_MESSAGE_OUTPUT=TAP "$build/tests/test_families"
}

agrees() { # FAMILY SEED
    draws=1 number=0
    case $1 in *moe* | gpt-oss* | deepseek2) draws=$most_draws ;; esac
    until compares draw "$1" "$2" $number; do
        number=$((number + 1))
        [ $number -lt $draws ] || return 1
    done
}

is_known() { # FAMILY
    "$python" "$folder/tools/$maker.py" "$1" "$drawn/$1.gguf" --draw 0 >/dev/null 2>&1
    "$build/mini-cllm" eval "$drawn/$1.gguf" --tokens 1 >/dev/null 2>"$said"
    ! grep -qE "architecture '.*' is not supported|do not see later tokens" "$said"
}

for seed in $seeds; do
    for maker in mkfamily mkfamily2; do
        for family in $("$python" "$folder/tools/$maker.py" --list); do
            rm -rf "$drawn"
            mkdir "$drawn" && cp "$folder/tokens.txt" "$drawn"
            if ! is_known "$family"; then
                skip "another $family, seed $seed" "the architecture is not supported"
            elif [ $maker = mkfamily ]; then
                check "another $family, seed $seed" agrees "$family" "$seed"
                [ $number = 0 ] || echo "# drawn $((number + 1)) times"
            elif [ -x "${PEER_EMBED:-}" ]; then
                check "another $family, seed $seed" compares draw_steady "$family" "$seed"
            else
                skip "another $family, seed $seed" "set PEER_EMBED"
            fi
        done
    done
done
echo "1..$n"
