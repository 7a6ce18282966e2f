#!/bin/sh
# Vocabularies give random texts the ids that llama.cpp gives them: tests/check_tokenizers.sh BUILD. $PEER is the program that prints
# those (tools/peer of the shared folder makes it), $MINICLLM_VOCAB the folder of vocabularies, such as models/ of llama.cpp's source,
# TEXT_SEEDS the seeds of the texts. Where a model's own tokenizer does what llama.cpp does not, the check looks away: some compose
# their texts, and BERT takes Hangul apart and keeps marks that take room of their own.
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
        case $name in bert-*) simple=simple ;; *) simple= ;; esac
        python3 tests/support/random_texts.py "$seed" "$n_texts" docs/02-tokenizer.md $simple >"$folder/texts" || exit 1
        check "$name, seed $seed" agrees "$vocabulary"
    done
done
echo "1..$n"
