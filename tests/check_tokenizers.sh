#!/bin/sh
# For random texts, vocabularies give the same ids as llama.cpp: tests/check_tokenizers.sh BUILD. $PEER is the
# program that prints llama.cpp's ids (tools/peer of the shared folder makes it), $MINICLLM_VOCAB the folder of
# vocabularies, such as models/ of llama.cpp's source, TEXT_SEEDS the seeds of the texts, and RWKV_VOCABULARY the
# list that RWKV publishes (without it, a vocabulary of its kind is made).
#
# If a model's own tokenizer differs from llama.cpp, we follow the model, and the check leaves these texts out: some
# tokenizers compose their texts; BERT splits Hangul, keeps spacing marks, and finds no beginning of a word at
# U+2581; for DeepSeek U+3000 is both a symbol and white space.
set -u
build=${1:?usage: tests/check_tokenizers.sh BUILD}
. tests/support/checks.sh
seeds=${TEXT_SEEDS:-1} n_texts=${N_TEXTS:-2000}

[ -x "${PEER:-}" ] || skip_all "llama.cpp is not there: set PEER to the program that the shared folder's tools/peer makes"
[ -d "${MINICLLM_VOCAB:-}" ] || skip_all "no vocabularies: set MINICLLM_VOCAB"

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
said=$folder/said

agrees() { # VOCABULARY [special]
    "$PEER" tokens "$@" <"$folder/texts" >"$folder/theirs" && "$build/tests/print_tokens" "$@" <"$folder/texts" >"$folder/ours" &&
        [ "$(wc -l <"$folder/ours")" = "$n_texts" ] || return 1
    diff "$folder/theirs" "$folder/ours" | head -n 6 >"$folder/difference"
    cat "$folder/difference"
    [ ! -s "$folder/difference" ]
}

for seed in $seeds; do
    for vocabulary in "$MINICLLM_VOCAB"/ggml-vocab-*.gguf; do
        name=${vocabulary##*/ggml-vocab-}
        case ${name%.gguf} in command-r | mpt | qwen2 | qwen35) skip "$name, seed $seed" "the model's own tokenizer composes" && continue ;; esac
        case $name in bert-*) without='simple ▁' ;; deepseek-llm.gguf) without=$(printf '\343\200\200') ;; *) without= ;; esac
        python3 tests/support/random_texts.py "$seed" "$n_texts" docs/02-tokenizer.md $without >"$folder/texts" || exit 1
        check "$name, seed $seed" agrees "$vocabulary"
    done
    # llama.cpp has no vocabulary of this kind. In its plain texts <s> becomes the special token, so it is special here.
    python3 tests/support/random_texts.py "$seed" "$n_texts" docs/02-tokenizer.md >"$folder/texts" || exit 1
    python3 tests/support/rwkv_vocabulary.py "$folder/rwkv.gguf" "${RWKV_VOCABULARY:-docs/02-tokenizer.md}" || exit 1
    check "rwkv, seed $seed" agrees "$folder/rwkv.gguf" special
done
echo "1..$n"
