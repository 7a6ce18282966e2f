#!/bin/sh
# Models of the families that differ from those of the shared folder in sizes, head counts and weights. Their logits
# must be those that llama.cpp computes during the test: tests/check_alt_families.sh BUILD. $PEER is the program that
# computes them (tools/peer of the shared folder makes it), and $PEER_EMBED the one for embeddings
# (tools/peer/embed.c); ALT_SEEDS are the seeds of the weights.
#
# If the router of a mixture of experts is so near a tie that rounding changes its choice, the logits differ by 1e-3,
# and both may be right. Such a model is drawn again, a few times; if it never agrees, it fails.
#
# On a CPU with AMX, llama.cpp (of November 2026) ends at an assertion for models with latent attention and gives NaN for
# gemma3n. There, let $PEER load another of its CPU libraries: a folder without libggml-cpu-sapphirerapids.so.
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

said=$folder/said

embeds() { case $1 in *bert* | *embedding*) ;; *) return 1 ;; esac; } # FAMILY

compute() { # FAMILY
    if embeds "$1"; then
        "$PEER_EMBED" tokens "$folder/$1.gguf" 1 "$tokens" "$folder/$1.embd.f32" &&
            "$PEER_EMBED" pooled "$folder/$1.gguf" 1 "$tokens" "$folder/$1.pooled.f32"
    else
        PEER_KV=f32 "$PEER" logits "$folder/$1.gguf" 1 "$tokens" "$folder/$1.logits.f32"
    fi
}

# Make the model and have both compute it: draw FAMILY SEED NUMBER.
draw() {
    set -- "$1" "$2" "$3" ""
    [ "$1" != minicpm ] || set -- "$1" "$2" "$3" "--set=logit_scale=0.5" # without it llama.cpp and the authors differ
    "$python" "$folder/tools/$maker.py" "$1" "$folder/$1.gguf" --alt --seed "$2" --draw "$3" ${4:+"$4"} || return 1
    compute "$1" >/dev/null 2>"$folder/peer" || {
        echo "llama.cpp did not compute it:" && head -n 2 "$folder/peer"
        return 1
    }
    cat "$tools"/../families*/llama.cpp-nmse.tsv | awk -v name="$1" '$1 == name' >"$folder/llama.cpp-nmse.tsv"
    MINICLLM_FAMILIES=$folder CMOCKA_MESSAGE_OUTPUT=TAP "$build/tests/test_families"
}

agrees() { # FAMILY SEED
    draws=1 number=0
    case $1 in *moe* | gpt-oss* | deepseek2 | deepseek32 | glm-dsa | jamba | kimi-linear | qwen3next | dots1 | minimax-m2 | mistral4 | llama4 | smallthinker | mimo2 | step35 | dbrx) draws=$most_draws ;; esac
    until draw "$1" "$2" $number; do
        number=$((number + 1))
        [ $number -lt $draws ] || return 1
    done
}

is_known() { # FAMILY
    "$python" "$folder/tools/$maker.py" "$1" "$folder/$1.gguf" >/dev/null 2>&1
    "$build/mini-cllm" eval "$folder/$1.gguf" --tokens 1 >/dev/null 2>"$said"
    ! grep -qE "architecture '.*' is not supported|do not see later tokens" "$said"
}

number=0
for seed in $seeds; do
    for maker in mkfamily mkfamily2; do
        for family in $("$python" "$folder/tools/$maker.py" --list); do
            if embeds "$family" && ! [ -x "${PEER_EMBED:-}" ]; then skip "another $family, seed $seed" "set PEER_EMBED"; elif ! is_known "$family"; then skip "another $family, seed $seed" "the architecture is not supported"; else
                check "another $family, seed $seed" agrees "$family" "$seed"
                [ $number = 0 ] || echo "# drawn $((number + 1)) times"
            fi
            rm -f "$folder/$family".*
        done
    done
done
echo "1..$n"
