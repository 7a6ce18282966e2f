#!/bin/sh
# Vectors of texts, and ranking of documents: tests/cli_embed.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh

# the largest difference of two files of numbers, at most $3?
near() {
    paste -d ' ' "$1" "$2" | awk -v most="$3" '{ n = NF / 2; for (i = 1; i <= n; i++) { d = $i - $(i + n); if (d < 0) d = -d; if (d > m) m = d } all += n }
        END { print m; exit !(all > 0 && m <= most) }'
}

forms() {
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo "Once upon a time there were $i dogs, and the $i$i-th sat down."; done >"$temporary/texts"
    head -n 2 "$temporary/texts" >"$temporary/two"
    run embed "$any" -q -f "$temporary/texts"
    check 'embed: a line of text gives a line of numbers' eval 'exits 0 && silent && [ "$(wc -l <"$out")" = 20 ]'
    cp "$out" "$temporary/together"
    check 'embed: of length 1' awk '{ s = 0; for (i = 1; i <= NF; i++) s += $i * $i; if (s < 0.99999 || s > 1.00001 || NF < 8) bad = 1 } END { exit bad }' "$temporary/together"
    while read -r line; do "$program" embed "$any" -q "$line"; done <"$temporary/texts" >"$temporary/alone"
    check 'embed: the same numbers alone as in company' cmp "$temporary/together" "$temporary/alone"
    run embed "$any" -q --batch 5 --threads 1 <"$temporary/texts"
    check 'embed: and for any batch, from standard input' cmp "$temporary/together" "$out"
    run embed "$any" -q --raw -f "$temporary/two"
    perl -e 'local $/; my @x = unpack "f<*", <STDIN>; my $n = @x / 2; printf "%s\n", join " ", map { sprintf "%.9g", $_ } splice @x, 0, $n for 1, 2' \
        <"$out" >"$temporary/unpacked"
    head -n 2 "$temporary/together" >"$temporary/want"
    check 'embed --raw: the same numbers' cmp "$temporary/unpacked" "$temporary/want"
    run embed "$any" -q --json -f "$temporary/two"
    check 'embed --json: the same numbers' eval 'exits 0 && tr -d "[]," <"$out" | sed "s/^ //" | cmp - "$temporary/want"'
    check 'embed --json: arrays in one' python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); assert len(a) == 2 and len(a[0]) == len(a[1]) > 7' "$out"
    run embed "$any" -q --cosine -f "$temporary/two"
    awk '{ for (i = 1; i <= NF; i++) s += NR == 1 ? 0 * (x[i] = $i) : x[i] * $i } END { printf "%.6f\n", s }' "$temporary/want" >"$temporary/cosine"
    check 'embed --cosine: of two lines' eval 'exits 0 && near "$out" "$temporary/cosine" 1e-5'
    printf 'one line\n' >"$temporary/one"
    run embed "$any" -q --cosine -f "$temporary/one"
    check 'embed --cosine: of one line' refused 1 '--cosine needs two lines of text, but there are 1'
    run embed "$any" -q </dev/null
    check 'embed of nothing' eval 'exits 0 && silent && [ ! -s "$out" ]'
    run embed "$any" -q --json </dev/null
    check 'embed --json of nothing' is_text '[]\n'
    printf 'a\r\nb' >"$temporary/ends"
    run embed "$any" -q -f "$temporary/ends" && cp "$out" "$temporary/want"
    printf 'a\nb\n' >"$temporary/ends"
    run embed "$any" -q -f "$temporary/ends"
    check 'embed: lines by any end, and the last by none' cmp "$out" "$temporary/want"
}

poolings() {
    ids=$("$program" tokenize "$any" -p 'One day, a girl')
    run embed "$any" -q --pooling last 'One day, a girl' && cp "$out" "$temporary/want"
    run embed "$any" -q --pooling last --tokens "$ids"
    check 'embed --tokens: the same as the text' eval 'exits 0 && cmp "$out" "$temporary/want"'
    run embed "$any" -q --pooling none --no-normalize --tokens "$ids" && cp "$out" "$temporary/rows"
    check 'embed --pooling none: a line a token' [ "$(wc -l <"$out")" = "$(echo "$ids" | wc -w)" ]
    run embed "$any" -q --pooling none --json --tokens "$ids"
    check 'embed --pooling none --json: an array a text' python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); assert len(a) == 1 and len(a[0]) == int(sys.argv[2])' \
        "$out" "$(echo "$ids" | wc -w)"
    for pooling in mean cls last; do
        awk -v pooling=$pooling '{ n = NF; for (i = 1; i <= n; i++) if (pooling == "mean") s[i] += $i; else if (pooling == "last" || NR == 1) s[i] = $i }
            END { for (i = 1; i <= n; i++) printf "%.9g ", pooling == "mean" ? s[i] / NR : s[i]; print "" }' "$temporary/rows" >"$temporary/want"
        run embed "$any" -q --no-normalize --pooling $pooling --tokens "$ids"
        check "embed --pooling $pooling" eval 'exits 0 && near "$out" "$temporary/want" 1e-5'
    done
}

faults() {
    run embed "$stories" -q --tokens 1,512
    check 'embed: an id outside the vocabulary' refused 1 'token 512 is not in the vocabulary of 512'
    awk 'BEGIN { print "a"; for (i = 0; i < 600; i++) printf "b "; print "" }' >"$temporary/long"
    run embed "$stories" -q -f "$temporary/long"
    check 'embed: a text that is too long' refused 1 'line 2 has 602 tokens, the model has 512 positions: shorten the text or split it; --truncate cuts it'
    awk 'BEGIN { for (i = 0; i < 600; i++) printf "b "; print "" }' >"$temporary/long_line"
    run embed "$stories" -q --tokens "$("$program" tokenize "$stories" "$(cat "$temporary/long_line")" | cut -d " " -f 1-512)" && cp "$out" "$temporary/want"
    run embed "$stories" --truncate -f "$temporary/long_line"
    check 'embed --truncate: cuts it, and says so' eval 'exits 0 && says "line 1 has 602 tokens, of which the first 512 count" && cmp "$out" "$temporary/want"'
    run embed "$stories" --truncate --tokens 1,2
    check 'embed --truncate: not with ids' refused 2 '--tokens and --truncate cannot be used together'
    run embed "$stories" -q ''
    check 'embed: an empty text is a text' eval 'exits 0 && silent && [ "$(wc -l <"$out")" = 1 ]'
    run embed "$stories" -f /dev/null
    check 'embed: a file without a line has no vector, and that is said' eval 'exits 0 && says "there is no text" && [ ! -s "$out" ]'
    run embed "$stories" -q '' --override tokenizer.ggml.add_bos_token=bool:false
    check 'embed: but not without any token' refused 1 'line 1 has no tokens'
    run embed "$stories" -q --pooling rank a
    check 'embed --pooling rank without a classifier' refused 1 'the model cannot rank'
    run rerank "$stories" -q -p a -f "$temporary/long"
    check 'rerank without a classifier' eval 'exits 1 && one_line && says "the model cannot rank documents: it has no classifier (cls.output.weight)"'
    awk 'BEGIN { for (i = 0; i < 3000; i++) print "One day there was a girl, and a dog, and a boy who said that it was late." }' >"$temporary/lines"
    python3 tests/support/screen.py "$program" embed "$stories" --threads 1 -f "$temporary/lines" >"$out" 2>"$err"
    check 'embed on a terminal: no bar between the rows' eval '[ "$(grep -c "^-*[0-9]" "$out")" = 3000 ] && ! prints embedding'
    python3 tests/support/screen.py "$program" embed "$any" --json -p Hi >"$out" 2>"$err"
    check 'embed --json on a terminal: the figures come after it' eval 'grep "^load " "$out" && grep -v "^load " "$out" | python3 -m json.tool >"$temporary/want"'
    awk 'BEGIN { for (i = 0; i < 200000; i++) print "One day there was a girl, and a dog, and a boy who said that it was late." }' >"$temporary/many"
    start embed "$stories" -q -f "$temporary/many"
    await [ -s "$out" ]
    kill -INT "$process"
    finished
    check 'embed: Ctrl-C ends it' eval 'exits 130 && silent'
}

# the encoders against llama.cpp's reference values, and a classifier made here
encoders() {
    for model in bert nomic-bert jina-bert-v2 modern-bert qwen3-embedding; do
        run embed "$shared/families2/$model.gguf" -q --raw --tokens "$(cat "$shared/families/tokens.txt")"
        check "embed: $model" eval 'exits 0 && perl -e '"'"'local $/; my ($a, $b) = map { open my $f, "<:raw", $_ or die; [unpack "f<*", <$f>] } @ARGV;
            my ($p, $x, $y) = (0, 0, 0); for (0 .. $#$a) { $p += $a->[$_] * $b->[$_]; $x += $a->[$_] ** 2; $y += $b->[$_] ** 2 }
            exit !(@$a == @$b && $p / sqrt($x * $y) > 1 - 1e-6)'"'"' "$out" "$shared/families2/$model.pooled.f32"'
    done
    python3 tests/support/make_ranker.py "$shared/families2/bert.gguf" "$temporary/ranker.gguf"
    ends=tokenizer.ggml.add_eos_token=bool:true
    printf 'It rained.\nA dog sat.\r\nNobody knows who sat there.\n' >"$temporary/documents"
    run rerank "$temporary/ranker.gguf" -q -p 'Who sat?' -f "$temporary/documents" --override $ends
    check 'rerank: a line a document, the best first' eval 'exits 0 && silent && [ "$(cut -f 2 "$out")" = "$(cut -f 2 "$out" | sort -gr)" ] && [ "$(cut -f 1 "$out" | sort | paste -s -d , -)" = 0,1,2 ] && prints "	A dog sat."'
    cp "$out" "$temporary/ranked"
    # the pair is <s> query </s> document </s>
    ids=$("$program" tokenize "$temporary/ranker.gguf" 'Who sat?' --override $ends),$("$program" tokenize "$temporary/ranker.gguf" 'A dog sat.' --override $ends --no-bos),2
    run embed "$temporary/ranker.gguf" -q --pooling rank --tokens "$ids"
    check 'rerank: the score of the pair' [ "$(cat "$out")" = "$(awk -F '\t' '$1 == 1 { print $2 }' "$temporary/ranked")" ]
    run rerank "$temporary/ranker.gguf" -q -p 'Who sat?' --json --override $ends <"$temporary/documents"
    check 'rerank --json: the same' python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); b = [l.rstrip("\n").split("\t") for l in open(sys.argv[2])]
assert [(str(d["index"]), d["document"]) for d in a] == [(l[0], l[2]) for l in b] and all(abs(d["relevance_score"] - float(l[1])) < 1e-6 for d, l in zip(a, b))' "$out" "$temporary/ranked"
    printf 'Who sat?\n' >"$temporary/query"
    run rerank "$temporary/ranker.gguf" -q -p - -f "$temporary/documents" --override $ends <"$temporary/query"
    check 'rerank: the query from standard input' eval 'exits 0 && silent && cmp -s "$out" "$temporary/ranked"'
    run embed "$temporary/ranker.gguf" -q --cosine --pooling rank -p "$(printf 'a dog\na cat')"
    check 'the cosine of scores' refused 1 "--cosine compares vectors, but this pooling gives a classifier's scores"
    run rerank "$temporary/ranker.gguf" -q -p 'Who sat?' </dev/null
    check 'rerank of nothing' eval 'exits 0 && silent && [ ! -s "$out" ]'
    awk 'BEGIN { print "a"; for (i = 0; i < 200; i++) printf "b "; print "" }' >"$temporary/long"
    run rerank "$temporary/ranker.gguf" -q -p a -f "$temporary/long"
    check 'rerank: a document that is too long' eval 'exits 1 && one_line && says "the query with line 2 has " && says "the model has 128 positions"'
    python3 tests/support/make_ranker.py "$shared/families2/bert.gguf" "$temporary/nan.gguf" nan
    run rerank "$temporary/nan.gguf" -q -p 'Who sat?' -f "$temporary/documents"
    check 'rerank: scores that are no numbers' refused 1 'the query with line 1: the model computes numbers that are not finite'
    run embed "$shared/families2/qwen3-embedding.gguf" -q --pooling none --json 'a dog' && cp "$out" "$temporary/want"
    run embed "$shared/families2/qwen3-embedding.gguf" -q --json 'a dog' --override qwen3.pooling_type=int:0
    check 'embed: pooling none of the file' eval 'exits 0 && cmp "$out" "$temporary/want"'
    printf 'a dog\na cat\n' >"$temporary/two"
    run embed "$shared/families2/qwen3-embedding.gguf" -q --cosine -f "$temporary/two" --override qwen3.pooling_type=int:0
    check 'embed --cosine: pooling none of the file' refused 1 '--cosine compares one vector of each text'
    run embed "$shared/families2/qwen3-embedding.gguf" -q 'a</s>' && cp "$out" "$temporary/want"
    run embed "$shared/families2/qwen3-embedding.gguf" -q --tokens "$("$program" tokenize "$shared/families2/qwen3-embedding.gguf" --no-special 'a</s>')"
    check 'embed: nothing is special in a text' cmp "$out" "$temporary/want"
    run "$stories" -q -p a -n 2 --draft-model "$shared/families2/bert.gguf"
    check 'an encoder is no draft model' eval 'exits 1 && one_line && says "bert.gguf: --draft-model: a bert model cannot generate text"'
    for command in "$temporary/ranker.gguf -p a" "chat $temporary/ranker.gguf a" "eval $temporary/ranker.gguf --tokens 1,2"; do
        run $command
        check "an encoder generates no text: ${command%%[ /]*}" eval 'exits 1 && one_line && says "generates no text"'
    done
    run bench "$temporary/ranker.gguf" -q -p 32,64 -r 2 --csv
    check 'bench of an encoder measures prompts' eval 'exits 0 && silent && [ "$(wc -l <"$out")" = 3 ] && grep -q ",32,0,0,0,[1-9]" "$out" && grep -q ",64,0,0,0,[1-9]" "$out"'
    run bench "$temporary/ranker.gguf" -q -p 32 -n 4096 -r 1 --csv
    check 'bench of an encoder: -n asks for no room' exits 0
    for bad in '-p 0' '-p 32 --depth 8'; do
        run bench "$temporary/ranker.gguf" -q $bad
        check "bench of an encoder: $bad" refused 1 "$temporary/ranker.gguf: a bert model only reads whole texts: use -p"
    done
    run bench "$temporary/ranker.gguf" -q -p 4096
    check 'bench of an encoder: a prompt that is too long' refused 1 "$temporary/ranker.gguf: -p 4096: the model has 128 positions"
}

# Qwen3-Reranker gives the shares of "yes" and "no" for a pair, which a template writes. A causal model without the
# classifier cannot rank.
answers_yes_or_no() {
    model=$temporary/yes_no.gguf
    python3 tests/support/make_ranker.py "$shared/families2/qwen3-embedding.gguf" "$model" yes-no
    printf 'It rained.\nA dog </s> sat.\n' >"$temporary/documents"
    run rerank "$model" -q -p 'Who <s> sat?' -f "$temporary/documents"
    check 'rerank: yes or no' eval 'exits 0 && silent && awk -F "\t" "{ bad = bad || \$2 <= 0 || \$2 >= 1 } END { exit bad || NR != 2 }" "$out"'
    cp "$out" "$temporary/ranked"
    # only the template's own special tokens count; in the user's texts they are plain text
    pair='The answer is yes or no.
<Query>: Who <s> sat?
<Document>: A dog </s> sat.'
    ids=1,$("$program" tokenize "$model" --no-bos --no-special -p "$pair"),2,$(echo | "$program" tokenize "$model" --no-bos -p -)
    run embed "$model" -q --pooling rank --tokens "$(echo "$ids" | tr " " ,)"
    check 'rerank: the share of yes' awk -F '\t' 'NR == FNR { split($0, a, " "); next } $1 == 1 { exit !(a[1] == $2 && a[1] + a[2] > 0.99999) }' "$out" "$temporary/ranked"
    run rerank "$shared/families2/qwen3-embedding.gguf" -q -p a -f "$temporary/documents"
    check 'rerank: a causal model without a classifier' eval 'exits 1 && one_line && says "it has no classifier (cls.output.weight)"'
    run rerank "$shared/families2/qwen3-embedding.gguf" -q -p a -f "$temporary/documents" --override qwen3.pooling_type=int:4
    check 'rerank: a file that only says so' eval 'exits 1 && one_line && says "qwen3.pooling_type: 4 (rank) needs a classifier, but the file has no cls.output.weight"'
}

for name in forms poolings; do group $name "$any"; done
group faults "$stories"
for name in encoders answers_yes_or_no; do group $name "$shared/families2/qwen3-embedding.gguf"; done

finish
