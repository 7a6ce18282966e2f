#!/bin/sh
# Options and arguments that users of other programs expect, and the notes about prompts: tests/cli_options.sh BUILD,
# from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh

# The help of a command is in groups, in this order.
help_groups() {
    while IFS='|' read -r command groups; do
        # shellcheck disable=SC2086 # words
        run $command --help
        check "--help has its options in groups: $command" [ "$(sed -n 's/^\([A-Z][a-z ]*\):$/\1/p' "$out" | paste -s -d , -)" = "$groups" ]
        check "--help fits a wide terminal: $command" [ "$(awk 'length > 110' "$out" | grep -vc -e '^usage:' -e '^  mini-cllm')" = 0 ]
    done <<'END'
|Text,Sampling,Speed and memory,Model,Output
chat|Text,Sampling,Speed and memory,Model,Output
template|Text,Model,Output
pull|Output
list|Output
rm|Output
inspect|Speed and memory,Model,Output
tokenize|Text,Model,Output
eval|Text,Speed and memory,Model,Output
embed|Text,Speed and memory,Model,Output
rerank|Text,Speed and memory,Model,Output
bench|Measurement,Speed and memory,Model,Output
serve|Server,Text,Sampling,Speed and memory,Model,Output
END
    run --help
    tr -s ' \n' ' ' <"$out" >"$temporary/words" && cp "$temporary/words" "$out"
    check '--help names the spellings of llama.cpp' eval 'prints " -ngl for --gpu-layers" && prints " --temp for --temperature" &&
        prints " --n-predict for --n-tokens" && prints " -s for --seed" && prints " -c and --ctx-size for --ctx"'
}

# alike NAME ARGUMENTS: with these ARGUMENTS the program prints the same text as in the file "want"
alike() {
    name=$1
    shift
    run "$@"
    check "$name" eval 'exits 0 && silent && cmp "$out" "$temporary/want"'
}

neighbours() {
    run "$any" -q -p 'One day,' --temperature 0.7 --seed 5 --n-tokens 9 --ctx 100 --gpu-layers 0 --batch 3
    check 'a text' eval 'exits 0 && silent && [ "$(wc -c <"$out")" -gt 10 ]'
    cp "$out" "$temporary/want"
    alike '-m, -c, -s, --temp, --n-predict, -ngl and -b' -m "$any" -q -p 'One day,' --temp 0.7 -s 5 --n-predict 9 -c 100 -ngl 0 -b 3
    alike 'their long names, and values attached' --model="$any" -q -p 'One day,' --temp=0.7 -s5 --n-predict=9 --ctx-size=100 \
        --n-gpu-layers=0 --batch-size=3
    alike '-c 0, the context of the model' "$any" -q -p 'One day,' --temp 0.7 -s 5 -n 9 -c 0
    alike 'the prompt is the argument after the model' "$any" 'One day,' -q --temp 0.7 -s 5 -n 9
    alike 'also after options' "$any" -q --temp 0.7 'One day,' -s 5 -n 9
    alike 'and after --' -q --temp 0.7 -s 5 -n 9 -- "$any" 'One day,'
    alike 'and where --model names the model, before it or after' 'One day,' -m "$any" -q --temp 0.7 -s 5 -n 9
    printf 'One day,' >"$temporary/prompt"
    "$program" "$any" - -q --temp 0.7 -s 5 -n 9 <"$temporary/prompt" >"$out" 2>"$err"
    status=$?
    check 'the argument - reads standard input' cmp "$out" "$temporary/want"
    run tokenize "$any" -p 'One day,' && cp "$out" "$temporary/want"
    alike 'tokenize takes the text as an argument too' tokenize "$any" 'One day,'
    alike 'tokenize -m' tokenize -m "$any" 'One day,'
    without_memory() { sed 's/, [^,]* available$//' "$1"; } # available memory changes while other programs run
    run inspect "$any" --ctx 77 && without_memory "$out" >"$temporary/want"
    run inspect -c 77 -m "$any"
    check 'inspect -m, -c' eval 'exits 0 && silent && without_memory "$out" | cmp - "$temporary/want"'
    run bench -m "$any" "$any" -ngl 0 -p 2 -n 0 -r 1 --threads 1 -b 2 --csv
    check 'bench -m: and more models' eval 'exits 0 && silent && [ "$(wc -l <"$out")" -eq 3 ]'
    run eval -m "$any" --tokens 1,2 -ngl 0 -c 5 -q
    check 'eval -m' eval 'exits 0 && [ "$(wc -w <"$out")" -eq 2 ]'

    run "$any" -n -1 -t 0 --ignore-eos --ctx 40 -p 'One day,'
    check '-n -1 goes on until the context is full, which is said' eval 'exits 0 && says "context: all 40 tokens are in use"'
    run "$any" -q -n 100000 -t 0 --ctx 512 -p 'One day,' && cp "$out" "$temporary/want"
    alike '-n -1 goes on until the model ends its text' "$any" -q -n -1 -t 0 --ctx 512 -p 'One day,'

    run "$any" -n 1 -t 8
    check '-t of 2 and more: it is said what it is' says '-t 8 is the temperature; --threads sets the number of threads'
    for flags in '-t 1.9' '--temperature 8' '--temp 8' '-t 8 --temp 1' '-t 8 -q'; do
        # shellcheck disable=SC2086 # words
        run "$any" -n 1 $flags
        check "but not with $flags" eval 'exits 0 && ! says "is the temperature"'
    done
}

# where a text comes from
texts() {
    printf 'One day,' >"$temporary/prompt"
    printf 'And then' >"$temporary/other"
    run "$any" -q -n 9 -t 0 -p 'One day,' && cp "$out" "$temporary/want"
    alike 'without a prompt, a file as standard input is it' "$any" -q -n 9 -t 0 <"$temporary/prompt"
    printf 'One day,' | "$program" "$any" -q -n 9 -t 0 >"$out" 2>"$err"
    check 'so is a pipe' eval 'silent && cmp "$out" "$temporary/want"'
    alike 'with one, neither is read' "$any" -q -n 9 -t 0 'One day,' <"$temporary/other"
    alike 'with standard input closed' "$any" -q -n 9 -t 0 'One day,' <&-
    run "$any" -q -n 9 -t 0 -p '' && cp "$out" "$temporary/want"
    alike 'standard input that is closed is no prompt' "$any" -q -n 9 -t 0 <&-
    alike 'nor is /dev/null' "$any" -q -n 9 -t 0 </dev/null
    "$program" "$any" -q -n 9 -t 0 -p 'One day,' >&- 2>"$err"
    status=$?
    check 'standard output that is closed' eval 'exits 1 && says "standard output: "'
    run "$any" -n 1 -f /dev/zero
    check 'a file without end' refused 1 '/dev/zero: only texts of less than 256.0 MiB are read'
    run tokenize "$any" -p 'One day,' && cp "$out" "$temporary/want"
    alike 'tokenize -f' tokenize "$any" -f "$temporary/prompt"
}

# A chat model that is named without a prompt, on a terminal
missing_prompt() {
    command -v python3 >/dev/null || { skip 'a missing prompt' 'python3 is missing'; return; }
    template='tokenizer.chat_template=str:{{messages}}'
    while IFS='|' read -r n flags; do
        # shellcheck disable=SC2086 # words
        python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' "$program" "$any" -n 1 $flags </dev/null >"$out" 2>"$err"
        check "on a terminal, notes about a missing prompt: $n with $flags" \
            [ "$(grep -c "^no prompt: .*'mini-cllm chat MODEL' chats with it; -p TEXT gives a prompt" "$out")" = "$n" ]
    done <<END
1|--override $template
0|--override $template -q
0|--override $template -p Once
0|-v
END
    run "$any" -n 1 --override "$template"
    check 'without a terminal it is not said' eval 'exits 0 && ! says "no prompt"'
}

# The bar of a long evaluation, on a terminal, never goes back, and stays on one line.
bar() {
    command -v python3 >/dev/null || { skip 'the bar of eval' 'python3 is missing'; return; }
    yes 'One day there was a girl, and a dog, and a boy who said that it was late.' | head -n 4000 >"$temporary/long"
    python3 - "$program" eval "$any" --text "$temporary/long" --ctx 64 --threads 1 >"$out" 2>"$err" <<'PYTHON'
import fcntl, os, pty, re, struct, sys, termios
columns = 50
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while True:
    try: more = os.read(terminal, 65536)
    except OSError: break
    if not more: break
    seen += more
os.waitpid(pid, 0)
print(*re.findall(rb"\] *(\d+)%", seen))
percents = [int(p) for p in re.findall(rb"\] *(\d+)%", seen)]
drawn = re.sub(rb"\x1b\[[0-9;]*[a-zA-Z]", b"", seen)
assert max(len(bar) for bar in re.findall(rb"[^\r\n]*\] *\d+%", drawn)) < columns, drawn[-500:]
assert len(percents) > 5 and percents == sorted(percents) and percents[-1] >= 99, seen[-500:]
PYTHON
    status=$?
    check 'the bar of eval only grows' exits 0
}

# On a terminal, what else is printed there neither erases the text nor comes within it.
on_terminal() {
    command -v python3 >/dev/null || { skip 'a text on a terminal' 'python3 is missing'; return; }
    screen() {
        python3 tests/support/screen.py "$program" "$any" -t 0 -n 12 --threads 1 -p 'One day' "$@" </dev/null >"$out" 2>"$err"
        status=$?
    }
    run "$any" -q -t 0 -n 12 --threads 1 -p 'One day' && cp "$out" "$temporary/want"
    screen
    check 'on a terminal: the whole text, and then the figures' eval \
        'exits 0 && [ "$(head -n 1 "$out")" = "$(cat "$temporary/want")" ] && sed -n 2p "$out" | grep -q "^load "'
    screen --echo
    check 'on a terminal: the prompt too with --echo' eval 'exits 0 && [ "$(head -n 1 "$out")" = "One day$(cat "$temporary/want")" ]'
    DUMB=1 screen
    check 'on a dumb terminal: no bar, no escapes' eval '! prints "an escape" && ! prints % && [ "$(head -n 1 "$out")" = "$(cat "$temporary/want")" ]'
    screen --echo -v
    check 'on a terminal with -v: each line on its own' eval 'exits 0 && grep -q "^prompt: evaluated in [0-9.]* s$" "$out" &&
        grep -qxF "One day$(cat "$temporary/want")" "$out"'
    screen --grammar 'root ::= ((([a-z ,]{1,40}){1,40}){1,40}){0,40}' -n 100
    check 'on a terminal: an error comes after the text' eval 'exits 1 && head -n 1 "$out" | grep -qx "[a-z ,]*" &&
        sed -n 2p "$out" | grep -q "^mini-cllm: the grammar allows too many ways to continue here; make it simpler"'
}

# flags of llama.cpp that change nothing here
idle_flags() {
    run "$any" -q -n 9 -p 'One day,' && cp "$out" "$temporary/want"
    alike 'flags without effect are accepted' "$any" -q --mlock -e -fa on -n 9 --no-warmup --no-display-prompt --numa distribute -p 'One day,'
    run "$any" --mlock -e -fa on -n 9 --numa=distribute -p 'One day,'
    check 'and noted, a line each' eval 'exits 0 && says "--mlock has no effect here" && says "-e has no effect here: backslashes in a text stay as they are" &&
        says "-fa has no effect here" && says "--numa has no effect here" && [ "$(wc -l <"$err")" -eq 5 ]'
    run "$any" -q -n 1 --echo -p --mlock
    check 'but not where they are a text' eval 'exits 0 && prints --mlock'
    run -m "$any" -q -n 1 --echo 'what is in a.gguf'
    check 'a text that ends as a file does is a text' eval 'exits 0 && prints "what is in a.gguf"'
    run bench "$any" --mlock
    check 'bench knows none' refused 2 "unknown option '--mlock'"
}

samplers() {
    story() { run "$any" -q -n 20 --threads 1 -p 'One day,' "$@"; }
    story
    cp "$out" "$temporary/want"
    for flags in '--samplers top-n-sigma;temp;topk,typical_p;nucleus' '--min-p 0 --typical 1 --top-n-sigma -1' '--xtc-probability 0.9 --xtc-threshold 0.6' \
        '--repeat-penalty 1' '--repeat-penalty 2 --repeat-last-n 0' '--dry-multiplier 1 --dry-base 0.5' '--logit-bias 3+0' \
        '--samplers penalties;dry;top_n_sigma;temperature;top_k;typ_p;top_p;min_p;xtc;adaptive_p' '--mirostat-ent 2'; do
        # shellcheck disable=SC2086 # words
        story $flags
        check "samplers that are off: $flags" eval 'exits 0 && cmp -s "$out" "$temporary/want"'
    done
    for flags in '--min-p 0.9' '--typical-p 0.1' '--top-n-sigma 0.01' '--xtc-probability 1 --xtc-threshold 0.02' '--dynatemp-range 0.7' \
        '--repeat-penalty 3' '--frequency-penalty 40' '--presence-penalty -3 --repeat-last-n -1' '--mirostat 1 --mirostat-ent 1' '--mirostat 2' \
        '--samplers temperature' '--samplers top_k;adaptive_p --adaptive-target 0.1' '--samplers top_k;infill'; do
        # shellcheck disable=SC2086 # words
        story $flags
        check "samplers that are on: $flags" eval 'exits 0 && ! cmp -s "$out" "$temporary/want"'
    done
    story -t 0 -n 200 --ignore-eos --ctx 300
    cp "$out" "$temporary/want"
    story -t 0 -n 200 --ignore-eos --ctx 300 --dry-multiplier 2 --dry-penalty-last-n -1
    check 'DRY at temperature 0' eval 'exits 0 && ! cmp -s "$out" "$temporary/want"'
    first=$("$program" tokenize "$any" "$(head -c 30 "$temporary/want")" --no-bos | cut -d" " -f2)
    story -t 0 -l "$first-inf"
    check '--logit-bias forbids a token' eval 'exits 0 && ! cmp -s "$out" "$temporary/want"'
    run "$any" -n 1 -v --override general.sampling.temp=float:0.6 --override general.sampling.top_k=int:20 \
        --override general.sampling.sequence=str:top_k
    check '-v shows what the file recommends' says 'the file recommends temperature 0.6, top-k 20, samplers top_k'
    while IFS='|' read -r message arguments; do
        eval "run '$any' -n 1 $arguments" </dev/null
        check "refused: $arguments" refused 2 "$message"
    done <<'END'
--min-p: '1.5' is not a number in [0, 1]|--min-p 1.5
--mirostat: '3' is not a whole number from 0 to 2|--mirostat 3
--repeat-last-n: '-2' is not a whole number from 0 to 2147483647, or -1|--repeat-last-n -2
--samplers: 'beam' is not one of: penalties;dry|--samplers 'top_k;beam'
--samplers: 'temp' is given twice|--samplers 'temperature;temp'
--logit-bias: '5' does not have the form ID+NUMBER|--logit-bias 5
--logit-bias: '5+inf' does not have the form ID+NUMBER|-l 5+inf
--logit-bias: '-5+1' does not have the form|--logit-bias=-5+1
END
    run "$any" -n 1 -q -l 2000000000+1
    check 'a logit bias of no token' refused 1 'logit bias: token 2000000000 is not in the vocabulary of '
}

grammars() {
    printf '%s\n' 'root ::= "{\"name\": \"" [A-Z] [a-z]{2,8} "\", \"age\": " [1-9] [0-9]? "}"' >"$temporary/person.gbnf"
    printf '{"name": "Bob", "age": 7}' >"$temporary/good"
    printf '{"name": "bob", "age": 7}' >"$temporary/bad"
    printf '{"name": "Bob"' >"$temporary/short"
    run grammar "$any" --grammar "$temporary/person.gbnf"
    check 'grammar: one that is well written' eval 'exits 0 && silent && [ ! -s "$out" ]'
    run grammar "$any" --grammar "$temporary/person.gbnf" --check "$temporary/good" "$temporary/bad" "$temporary/short"
    check 'grammar --check: accepted, or refused at a byte' eval 'exits 1 && silent && is_text "accepted\nrefused at byte 10\nrefused at byte 14\n"'
    { cat "$temporary/good"; echo; } >"$temporary/line"
    run grammar "$any" --grammar "$temporary/person.gbnf" --check "$temporary/line"
    check 'grammar --check: a newline at the end is named' eval 'exits 1 && grep -qx "refused at byte [0-9]*, the newline at the end" "$out"'
    run grammar "$any" --grammar "$temporary/person.gbnf" --check - <"$temporary/good"
    check 'grammar --check -' eval 'exits 0 && is_text "accepted\n"'
    printf '{"type": "object", "properties": {"age": {"type": "integer"}, "name": {"type": "string"}}, "required": ["age"]}' >"$temporary/schema"
    printf '%s' '{"age":7,"name":"Bob"}' >"$temporary/in_order"
    run grammar "$any" --json-schema "$temporary/schema" --check "$temporary/good" "$temporary/in_order" "$temporary/short"
    check 'grammar --json-schema: properties in any order' eval 'exits 1 && silent && is_text "accepted\naccepted\nrefused at byte 14\n"'
    run grammar "$any" --json-schema "$temporary/schema" --json-order declared --check "$temporary/good" "$temporary/in_order"
    check 'grammar --json-order declared' eval 'exits 1 && silent && is_text "refused at byte 2\naccepted\n"'
    printf 'yes\nno\n' >"$temporary/lines"
    : >"$temporary/empty"
    printf '[]' >"$temporary/list"
    printf 'no' >"$temporary/no"
    run grammar "$any" --choice "$temporary/lines" --check "$temporary/no" "$temporary/lines"
    check 'grammar --choice' eval 'exits 1 && silent && is_text "accepted\nrefused at byte 3\n"'
    run grammar "$any" --grammar 'root ::= "no" | "yes"' --check "$temporary/no" "$temporary/lines"
    check 'grammar --grammar TEXT' eval 'exits 1 && silent && is_text "accepted\nrefused at byte 3\n"'
    run grammar "$any" --grammar-file "$temporary/person.gbnf" --check "$temporary/good"
    check 'grammar --grammar-file' eval 'exits 0 && is_text "accepted\n"'
    run "$any" -q -p One --grammar 'root ::= "abc"'
    check '--grammar TEXT' eval 'exits 0 && silent && is_text "abc\n"'
    run grammar "$any" --regex '.{3,}' --timings "$temporary/good"
    check 'grammar --timings' eval 'exits 0 && grep -q "\"compile_us\": .*\"p99\": " "$out"'
    while IFS='|' read -r want message arguments; do
        eval "run grammar '$any' $arguments" </dev/null
        check "grammar refused: $arguments" refused "$want" "$message"
    done <<END
2|grammar: give --grammar FILE, --json-schema FILE, --regex REGEX or --choice FILE|
2|--grammar and --regex cannot be used together|--regex a --grammar '$temporary/person.gbnf'
2|--json-schema and --choice cannot be used together|--choice '$temporary/lines' --json-schema '{}'
2|$temporary/list: schema, #: this must be a schema|--json-schema '$temporary/list'
2|--grammar: grammar, line 1, column |--grammar 'root ::= ('
2|--json-schema: JSON, line 1, column 2: |--json-schema '{'
2|--json-schema: schema, #/properties/a/type: this is not one of the types null|--json-schema '{"properties": {"a": {"type": "x"}}}'
3|--json-schema: schema, #/\$ref: this refers to something that is not in the document|--json-schema '{"\$ref": "http://a/b"}'
2|$temporary/empty: the grammar allows no text at all|--choice '$temporary/empty'
2|--regex: regular expression, line 1, column 1: this ( is not closed|--regex '(a'
3|--regex: regular expression, line 1, column 2: looking ahead or behind|--regex 'a(?=b)'
2|$temporary/good: grammar, line 1, column 1: the name of a rule was expected|--grammar '$temporary/good'
2|$temporary/none: No such file|--grammar '$temporary/none'
2|--grammar: 'root = "a"' is neither a file nor a grammar: a rule has the form NAME ::= ...|--grammar 'root = "a"'
2|$temporary/none: No such file|--regex a --check '$temporary/none'
END
    # every sampled text follows the grammar, even if the model prefers other text
    bad=0
    for seed in 1 2 3 4 5 6 7 8 9 10; do
        run "$any" -p 'One day,' -q --threads 1 --grammar "$temporary/person.gbnf" -t 2 --seed $seed
        head -c -1 "$out" >"$temporary/text"
        "$program" grammar "$any" --grammar "$temporary/person.gbnf" --check "$temporary/text" >"$out" 2>"$err" || bad=$((bad + 1))
    done
    check '--grammar: texts of ten seeds at temperature 2' [ $bad = 0 ]
    run "$any" -p 'One day,' -q --threads 1 --regex '(the (dog|cat) (ran|sat)\. ){3}' --seed 3
    cp "$out" "$temporary/want"
    check '--regex' grep -qxE '(the (dog|cat) (ran|sat)\. ){3}' "$out"
    run "$any" -p 'One day,' -q --threads 1 --regex '(the (dog|cat) (ran|sat)\. ){3}' --seed 3 --draft lookup
    check '--regex with drafts: the same text' cmp -s "$out" "$temporary/want"
    run "$any" -p 'One day,' -q --threads 1 --regex '[a-z ]*' -n 20 --ignore-eos
    check '--regex with --ignore-eos' grep -qxE '[a-z ]+' "$out"
    run "$any" -p 'One day,' -q --threads 1 --regex '[a-z ]{50}' -n 5
    check '--regex: a text that is cut before its end' eval 'exits 1 && says "the text is not finished: after 5 tokens"'
    run "$any" -n 1 --regex 'a('
    check '--regex: malformed' refused 2 '--regex: regular expression'
}

begin_tokens() {
    run "$stories" -n 1 -p '<s>Once'
    check 'a prompt with a begin token of its own: said once, and kept' eval 'exits 0 &&
        [ "$(grep -c "so there are two" "$err")" -eq 1 ] && says "prompt 3 tokens"'
    run "$stories" -n 1 -p '<s><s>Once' -q
    check 'but not with -q' eval 'exits 0 && silent'
    run tokenize "$stories" '<s>Once'
    check 'tokenize says it too' eval 'is_text "1 1 403\n" && one_line && says "so there are two"'
    for flags in '-p Once' '-p <s>Once --no-special' '-p <s>Once --override tokenizer.ggml.add_bos_token=bool:false' '-p <s>' \
        '-p Once<s>'; do
        # shellcheck disable=SC2086 # words
        run "$stories" -n 1 $flags
        case $flags in
        '-p <s>') check "two: $flags" says 'so there are two' ;;
        *) check "one is as it should be: $flags" eval 'exits 0 && ! says "begin token"' ;;
        esac
    done
}

# A colon in the name of an adapter's file
colons() {
    if ! command -v python3 >/dev/null; then
        skip colons 'python3 is missing'
        return
    fi
    python3 tests/support/make_lora.py "$stories" "$temporary/lora.gguf"
    (cd "$temporary" && cp lora.gguf a:b.gguf && cp lora.gguf c:0.5 && cp lora.gguf d && cp lora.gguf d:2)
    adapted() { (cd "$temporary" && "$absolute" eval "$model" --tokens 1,403,407 --logits "$1" --lora "$2" -v >"$out" 2>"$err"); }
    absolute=$(cd "$(dirname "$program")" && pwd)/mini-cllm
    model=$(cd "$(dirname "$stories")" && pwd)/$(basename "$stories")
    adapted want lora.gguf
    adapted half lora.gguf:0.5
    check 'scales differ' eval '! cmp "$temporary/want" "$temporary/half"'
    while read -r adapter same said; do
        adapted got "$adapter"
        status=$?
        check "--lora $adapter: $said" eval 'exits 0 && says "adapter: $said" && cmp "$temporary/got" "$temporary/$same"'
    done <<'END'
a:b.gguf want a:b.gguf, scale 1
a:b.gguf:0.5 half a:b.gguf, scale 0.5
c:0.5 want c:0.5, scale 1
c:0.5:0.5 half c:0.5, scale 0.5
d:0.5 half d, scale 0.5
d:2 want d:2, scale 1
END
    run eval "$stories" --tokens 1 --lora none:b.gguf
    check '--lora: a colon in the name of no file' refused 2 "--lora: 'b.gguf' in 'none:b.gguf' is not a finite number"
}

help_groups
group neighbours "$any"
group texts "$any"
group missing_prompt "$any"
group bar "$any"
group on_terminal "$any"
group idle_flags "$any"
group samplers "$any"
group grammars "$any"
for name in begin_tokens colons; do group $name "$stories"; done
finish
