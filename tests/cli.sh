#!/bin/sh
# The command line as a user sees it: tests/cli.sh BUILD, from the top of the repository. Prints TAP. Models come
# from the shared folder and models/demo.gguf; a test whose model is missing counts as skipped.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh

# ----------------------------------------------------------------------------------------- without a model

run
check 'no arguments: a short usage on stderr, exit 2' eval 'exits 2 && says "usage: mini-cllm" && [ ! -s "$out" ]'
run --version
check '--version' eval 'exits 0 && silent && prints "mini-cllm $(sed -n "s/.*CLLM_VERSION \"\(.*\)\"/\1/p" include/cllm.h)"'
run -h
check '-h is --help, on stdout, exit 0' eval 'exits 0 && silent && prints "usage: mini-cllm MODEL.gguf"'

# Every flag is in the help of its command, and in the man page.
sed 's/\\-/-/g' man/mini-cllm.1 >"$temporary/man"
while read -r command flags; do
    case $command in
    generate) run --help ;;
    *) run $command --help ;;
    esac
    missing=''
    for flag in $flags --help; do
        prints " $flag" || missing="$missing $flag"
        grep -q -e "$flag" "$temporary/man" || missing="$missing $flag(man)"
    done
    check "$command --help and the man page name every flag$missing" [ "$status$missing" = 0 ]
    # and none has been left out of the list here
    sed '/^Also understood/q' "$out" >"$temporary/listed" # the aliases have a test of their own
    unknown=''
    for flag in $(grep -o -e '^ *-[a-z, -]*--[a-z-]*' -e '^ *--[a-z-]*' "$temporary/listed" | grep -o -e '--[a-z-]*'); do
        case " $flags --help " in *" $flag "*) ;; *) unknown="$unknown $flag" ;; esac
    done
    check "$command --help names nothing else$unknown" [ -z "$unknown" ]
done <<'END'
generate --grammar --json-schema --json-order --regex --choice --min-p --typical-p --top-n-sigma --xtc-probability --xtc-threshold --dynatemp-range --dynatemp-exp --repeat-penalty --frequency-penalty --presence-penalty --repeat-last-n --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --mirostat --mirostat-ent --mirostat-lr --adaptive-target --adaptive-decay --logit-bias --samplers --prompt --file --n-tokens --temperature --top-p --top-k --seed --device --device-index --gpu-layers --exact --threads --ctx --batch --kv-type --echo --save --load --draft --draft-model --no-special --pre --cpu-isa --ignore-eos --rope-scaling --rope-scale --rope-freq-base --override --lora --no-mmap --repack --quiet --verbose --version --model
chat --grammar --json-schema --json-order --regex --choice --save --load --min-p --typical-p --top-n-sigma --xtc-probability --xtc-threshold --dynatemp-range --dynatemp-exp --repeat-penalty --frequency-penalty --presence-penalty --repeat-last-n --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --mirostat --mirostat-ent --mirostat-lr --adaptive-target --adaptive-decay --logit-bias --samplers --prompt --attach --system --reasoning --context --image --n-tokens --chat-template --chat-template-kwargs --temperature --top-p --top-k --seed --device --device-index --gpu-layers --exact --threads --ctx --batch --kv-type --draft --pre --cpu-isa --rope-scaling --rope-scale --rope-freq-base --override --lora --no-mmap --repack --quiet --verbose --model
inspect --json --tensors --ctx --override --model
tokenize --prompt --file --no-bos --no-special --pre --text --json --override --model
detokenize --pre --override --model
embed --prompt --file --truncate --tokens --pooling --no-normalize --json --raw --cosine --pre --device --device-index --gpu-layers --exact --threads --batch --kv-type --cpu-isa --rope-scaling --rope-scale --rope-freq-base --override --lora --no-mmap --repack --quiet --verbose --model
rerank --prompt --file --json --pre --device --device-index --gpu-layers --exact --threads --batch --kv-type --cpu-isa --rope-scaling --rope-scale --rope-freq-base --override --lora --no-mmap --repack --quiet --verbose --model
grammar --grammar --json-schema --json-order --regex --choice --check --timings --pre --override --model
template --file --chat-template --chat-template-kwargs --parse --tools --now --adapt --parts --override --model
eval --tokens --text --logits --pre --device --device-index --gpu-layers --exact --threads --ctx --batch --kv-type --cpu-isa --rope-scaling --rope-scale --rope-freq-base --override --lora --no-mmap --repack --quiet --verbose --model
bench --prompt --n-tokens --depth --sequences --repetitions --compare --pre --json --csv --md --device --device-index --gpu-layers --exact --threads --batch --kv-type --cpu-isa --rope-scaling --rope-scale --rope-freq-base --override --lora --no-mmap --repack --quiet --verbose --model
serve --n-tokens --chat-template --chat-template-kwargs --temperature --top-k --top-p --min-p --seed --typical-p --top-n-sigma --xtc-probability --xtc-threshold --dynatemp-range --dynatemp-exp --repeat-penalty --frequency-penalty --presence-penalty --repeat-last-n --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --mirostat --mirostat-ent --mirostat-lr --adaptive-target --adaptive-decay --logit-bias --samplers --threads --ctx --parallel --kv-unified --cache-ram --queue --pooling --batch --kv-type --cpu-isa --device --device-index --gpu-layers --exact --draft --no-mmap --repack --model --lora --rope-scaling --rope-scale --rope-freq-base --pre --override --host --port --api-key --api-key-file --no-auth --allow-host --cors --api-prefix --alias --strict-model --models-max --sleep-idle-seconds --slot-save-path --no-slots --spm-infill --no-webui --drain --timeout --max-body --max-connections --max-connections-per-address --log-format --log-prompts --ssl-key-file --ssl-cert-file --mmproj --quiet --verbose
pull --quiet
list --json
rm
END

run --help
tr -s ' \n' ' ' <"$out" >"$temporary/words" && cp "$temporary/words" "$out"
check '--help shows the defaults and ranges of sampling' eval 'prints "default 256" && prints "(0, 1]; default 0.9" &&
    prints "default 40" && prints "default 0.8" && prints "default 42"'

# Bad usage: status, what stderr says after "mini-cllm: ", the arguments. It is found before a model is opened.
while IFS='|' read -r expected message arguments; do
    eval "run $arguments" </dev/null
    check "refused: $arguments" refused "$expected" "$message"
done <<'END'
2|unknown option '--bogus'; see 'mini-cllm --help'|m.gguf --bogus
2|unknown option '-z'|m.gguf -z
2|unknown option '--temprature'; did you mean --temperature?|m.gguf --temprature 1
2|unknown option '--prot=3'; did you mean --port?|serve --prot=3
2|unknown option '--draft-max'; see 'mini-cllm --help'|m.gguf --draft-max 16
2|unknown option '-md': it is --draft-model|m.gguf -md a.gguf
2|unknown option '-md'; see 'mini-cllm chat --help'|chat m.gguf -md a.gguf
2|unknown option '-ctk': it is --kv-type, for keys and values|eval m.gguf -ctk f16
2|unknown option '-ctk'; see 'mini-cllm tokenize --help'|tokenize m.gguf -ctk f16
2|unknown option '--cache-type-v=f16'; see 'mini-cllm inspect --help'|inspect m.gguf --cache-type-v=f16
2|unknown option '--stop': a text ends where the model ends it, after --n-tokens, or where|chat m.gguf --stop x
2|unknown option '--stop'; see 'mini-cllm eval --help'|eval m.gguf --stop x
2|unknown option '--rope-freq-scale'; see 'mini-cllm detokenize --help'|detokenize m.gguf --rope-freq-scale 1
2|unknown option '-n=3': write -n 3|m.gguf -n=3
2|--seed: '9223372036854775808' is not a whole number from 0 to 9223372036854775807, or -1|serve m.gguf --seed 9223372036854775808
2|unknown option '-qn=3': write -n 3|m.gguf -qn=3
2|unknown option '-t=0.5': write -t 0.5|chat m.gguf -t=0.5
2|'run' is not a command: 'mini-cllm chat MODEL' chats with a model|run llama3.2 --keepalive 5m
2|'quantize' is not a command: this program runs quantized models and makes none|quantize a.gguf b.gguf q4_k
2|'version' is not a command: 'mini-cllm --version' prints it|version
2|'ps' is not a command: a model is in memory while its command runs; 'mini-cllm serve' lists those it has loaded at /api/ps|ps
2|'stop' is not a command: a model is in memory while its command runs; Ctrl-C ends 'mini-cllm serve'|stop llama3.2
2|'cp' is not a command: models cannot be renamed or copied; 'mini-cllm serve --alias NAME' gives|cp a b
2|'create' is not a command: there are no Modelfiles; options such as --system|create a -f Modelfile
1|there is no file 'llama3.2', and models have no short names here; name a model of the Hugging Face Hub as hf:OWNER/NAME|llama3.2 -p Hi
1|there is no file 'llama3.2:1b', and models have no short names here|chat llama3.2:1b
2|unknown option '--tensors'; see 'mini-cllm eval --help'|eval m.gguf --tensors
2|--quiet takes no value|m.gguf --quiet=1
2|--n-tokens needs a value|m.gguf -n
2|no model given|-t 0
2|no model given|inspect
2|'a' is not a command or a file|a b
2|'a' is not a command or a file|a
2|unexpected argument 'time' after the prompt 'Once': put a prompt of several words in quotes|m.gguf Once time
2|the argument 'a.gguf' and --model m.gguf are two models: give one|a.gguf -m m.gguf -p x
2|unexpected argument 'b' after the text 'a': put several texts in a file, a line each, for --file|embed m.gguf a b
2|the argument 'b' and --prompt are two prompts|m.gguf -p a b
2|the argument 'b' and --file are two prompts|m.gguf b -f a
2|the argument 'b' and --prompt are two prompts|tokenize m.gguf b -p -
2|--prompt and --file cannot be used together|tokenize m.gguf -p a -f b
2|unexpected argument 'b' after the model 'm.gguf'; see 'mini-cllm inspect --help'|inspect m.gguf b
2|unexpected argument 'b' after the model 'm.gguf'; see 'mini-cllm eval --help'|eval -m m.gguf b
2|--n-tokens: '-2' is not a whole number from 0 to 2147483647, or -1|m.gguf -n -2
2|--n-tokens: '-01' is not|m.gguf -n -01
2|--n-tokens: '-1' is not|bench m.gguf -n -1
2|--seed: '-2' is not|m.gguf -s -2
2|--ctx: '-1' is not a whole number from 0 to 2147483647|m.gguf -c -1
2|--temperature: 'x' is not|m.gguf --temp x
2|unknown option '-5'; give a text that begins with - after -p|m.gguf -5
2|--check: give the FILEs to check|grammar m.gguf --regex a --check
2|unknown option '-t': it is --threads|bench m.gguf -t 2
2|unknown option '-t': it is --threads|embed m.gguf -t 2 hi
2|unknown option '-o': it is --csv or --json|bench m.gguf -o json
2|unknown option '-pg': it is --prompt N --n-tokens N|bench m.gguf -pg 16,4
2|unknown option '-f': it is --attach FILE|chat m.gguf -f notes.txt
2|unknown option '--prompt-cache': it is --save FILE|m.gguf --prompt-cache a.bin
2|unknown option '--temper'; --temperature must be written out|m.gguf --temper 1
2|unknown option '--n-pred=1'; --n-predict must be written out|m.gguf --n-pred=1
2|--n-tokens: 'x' is not|m.gguf --n-predict=x
2|--gpu-layers: 'x' is not|m.gguf -ngl x
2|--gpu-layers: '-1' is not|eval m.gguf -ngl -1
2|--gpu-layers needs a value, N from 0 to 65535|bench m.gguf -ngl
2|--n-tokens: 'gx' is not|m.gguf -ngx
2|unknown option '-n'|eval m.gguf -n 5
2|unknown option '-ngl'; see 'mini-cllm inspect --help'|inspect m.gguf -ngl 5
2|--model needs a value|-m
2|--n-tokens: '3x' is not|m.gguf -n 3x
2|--n-tokens: '' is not|m.gguf -n ''
2|--n-tokens: ' 3' is not|m.gguf -n ' 3'
2|--n-tokens: '1e3' is not|m.gguf -n 1e3
2|--n-tokens: '2147483648' is not|m.gguf -n 2147483648
2|--temperature: '-0.1' is not a number in [0, inf)|m.gguf -t -0.1
2|--temperature: 'nan' is not|m.gguf -t nan
2|--temperature: 'inf' is not|m.gguf -t inf
2|--temperature: '1e99' is not|m.gguf -t 1e99
2|--top-p: '1.5' is not a number in (0, 1]|m.gguf --top-p 1.5
2|--top-p: '0' is not|m.gguf --top-p 0
2|--top-p: '0.5x' is not|m.gguf --top-p 0.5x
2|--top-k: '-1' is not a whole number|m.gguf --top-k -1
2|--seed: '18446744073709551616' is not a whole number|m.gguf --seed 18446744073709551616
2|--seed: '-2' is not|m.gguf --seed=-2
2|--seed: '18446744073709551615' is not a whole number from 0 to 18446744073709551614, or -1|m.gguf --seed 18446744073709551615
2|unknown option '-hf': give hf:OWNER/NAME|m.gguf Once -n 9 -hf a/b
2|unknown option '-cnv': 'mini-cllm chat MODEL' holds a conversation|m.gguf -q -cnv
2|unknown option '-i': 'mini-cllm chat MODEL' holds a conversation|m.gguf -qi
2|unknown option '-ins': 'mini-cllm chat MODEL' holds a conversation|chat m.gguf -ins
2|unknown option '--single-turn': 'mini-cllm chat MODEL QUESTION' answers one question|chat m.gguf --single-turn
2|unknown option '-sysf': it is --system of 'mini-cllm chat'|chat m.gguf -sysf f
2|unknown option '-st': 'mini-cllm chat MODEL QUESTION' answers one question and ends|m.gguf -st
2|unknown option '-to': it is --timeout of 'mini-cllm serve'|m.gguf -to 5
2|unknown option '-bf': 'mini-cllm MODEL --file FILE' reads any bytes|m.gguf -bf a
2|unknown option '-mli': in 'mini-cllm chat' three double quotes|chat m.gguf -mli
2|unknown option '-ub': it is --batch|bench m.gguf -ub 5
2|unknown option '-dev': it is --device|m.gguf -dev none
2|unknown option '-hft'; see 'mini-cllm --help'|m.gguf -hft a
2|unknown option '-host'; see 'mini-cllm serve --help'|serve m.gguf -host 0.0.0.0
2|unknown option '-r': a text ends where the model ends it, after --n-tokens, or|chat m.gguf -r User:
2|unknown option '-rea': it is --reasoning show, hide or off, of|chat m.gguf -rea off
2|unknown option '--reasoning-budget': it is --reasoning N of 'mini-cllm chat'|chat m.gguf --reasoning-budget 0
2|unknown option '-V': it is --version|-V
2|unknown option '-f': it is --text FILE|eval m.gguf -f a
2|unknown option '--think=false': it is --reasoning show, hide or off, of|chat m.gguf --think=false
2|unknown option '--cache-type-k': it is --kv-type, for keys and values|m.gguf --cache-type-k q8_0
2|unknown option '--cache-type-v=f32': it is --kv-type, for keys and values|bench m.gguf --cache-type-v=f32
2|unknown option '--chat-template-file': it is --chat-template of 'mini-cllm chat'|m.gguf --chat-template-file a
2|unknown option '--chat-template-file': it is --chat-template|chat m.gguf --chat-template-file a
2|unknown option '--ubatch-size': it is --batch|eval m.gguf --ubatch-size 5
2|unknown option '--format': a model writes JSON with --json-schema; the schema {"type":"object"} stands for any object|chat m.gguf --format json
2|unknown option '--rope-freq-scale': it is --rope-scale, with 1 / its value|m.gguf --rope-freq-scale 0.5
2|unknown option '--log-disable': it is --quiet|m.gguf --log-disable
2|unknown option '--log-disable'; see 'mini-cllm inspect --help'|inspect m.gguf --log-disable
2|unknown option '--keepalive': a model stays in memory while the command runs|chat m.gguf --keepalive 5m
2|--threads: '0' is not a whole number from 1 to 1024|m.gguf --threads 0
2|--threads: '1025' is not|m.gguf --threads 1025
2|--ctx: '2147483648' is not|m.gguf --ctx 2147483648
2|--batch: '0' is not|m.gguf --batch 0
2|--kv-type: 'q8' is not one of: f16|m.gguf --kv-type q8
2|--cpu-isa: 'mmx' is not one of: scalar|m.gguf --cpu-isa mmx
2|--cpu-isa: 'avx' is not one of: scalar|eval m.gguf --cpu-isa avx
2|--device: 'tpu' is not one of: cpu|m.gguf --device tpu
2|--gpu-layers: 4 layers need a GPU: give --device auto|m.gguf --gpu-layers 4
2|--device-index: '-1' is not a whole number|m.gguf --device-index -1
2|--device-index: 1 is for a GPU, but no layer runs on one (--device cpu or --gpu-layers 0): leave this out|m.gguf --device-index 1
2|--repack is for the CPU: it cannot be used together with --device cuda|m.gguf --device cuda --repack
2|--kv-type: q8_0 is for the cpu; --device opencl takes f16 and f32|m.gguf --device opencl --kv-type q8_0
2|--rope-scaling: 'cubic' is not one of: none|m.gguf --rope-scaling cubic
2|--rope-scale: '0' is not a number in (0, inf)|m.gguf --rope-scale 0
2|--rope-scale: '-2' is not|eval m.gguf --rope-scale=-2
2|--rope-freq-base: '1' is not a number in (1, inf)|m.gguf --rope-freq-base 1
2|--rope-freq-base: 'inf' is not|bench m.gguf --rope-freq-base inf
2|--rope-scaling none and --rope-scale cannot be used together|m.gguf --rope-scale 2 --rope-scaling none
2|--pre: the name is empty|m.gguf --pre ''
2|'evall' is not a command or a file; did you mean eval?|evall m.gguf
2|'caht' is not a command or a file; did you mean chat?|caht m.gguf --system x
2|'rn' is not a command or a file; see 'mini-cllm --help'|rn m.gguf
2|unknown option '--system'; see 'mini-cllm --help'|-m m.gguf caht --system x
2|unknown option '--rope-scale'|inspect m.gguf --rope-scale 2
2|--override needs a value, KEY=TYPE:VALUE|m.gguf --override
2|--override: 'key' does not have the form KEY=TYPE:VALUE|m.gguf --override key
2|--override: '' does not have the form|inspect m.gguf --override ''
2|--override: 'key=5' does not have the form|eval m.gguf --override key=5
2|--override: 'key:int=5' does not have the form|bench m.gguf --override key:int=5
2|--override: '=int:5' does not have the form|tokenize m.gguf --override =int:5
2|--override key: 'u32' is not one of: int|m.gguf --override key=u32:5
2|--override key: 'integer' is not one of: int|m.gguf --override key=integer:5
2|--override key: '' is not one of: int|detokenize m.gguf --override key=:5
2|--override key: '5x' is not a whole number from -9223372036854775808 to 18446744073709551615|m.gguf --override key=int:5x
2|--override key: '' is not a whole number|m.gguf --override key=int:
2|--override key: '-' is not a whole number|m.gguf --override key=int:-
2|--override key: '--1' is not a whole number|m.gguf --override key=int:--1
2|--override key: ' 1' is not a whole number|m.gguf --override 'key=int: 1'
2|--override key: '1.0' is not a whole number|m.gguf --override key=int:1.0
2|--override key: '18446744073709551616' is not a whole number|m.gguf --override key=int:18446744073709551616
2|--override key: '-9223372036854775809' is not a whole number|m.gguf --override key=int:-9223372036854775809
2|--override key: '1e999' is not a finite number|m.gguf --override key=float:1e999
2|--override key: 'nan' is not a finite number|m.gguf --override key=float:nan
2|--override key: '' is not a finite number|m.gguf --override key=float:
2|--override key: '1,5' is not a finite number|m.gguf --override key=float:1,5
2|--override key: '1' is not true or false|m.gguf --override key=bool:1
2|--lora needs a value, FILE[:SCALE]|m.gguf --lora
2|--lora: 'x' in 'a.gguf:x' is not a finite number|m.gguf --lora a.gguf:x
2|--lora: '' in 'a.gguf:' is not|eval m.gguf --lora a.gguf:
2|--lora: 'nan' in 'a.gguf:nan' is not|m.gguf --lora a.gguf:nan
2|--lora: '1e39' in 'a.gguf:1e39' is not|m.gguf --lora b.gguf --lora a.gguf:1e39
2|--lora: ':0.5' does not name a file|m.gguf --lora :0.5
2|--lora: '' does not name a file|bench m.gguf --lora ''
2|unknown option '--lora'|inspect m.gguf --lora a.gguf
2|--prompt and --file cannot be used together|m.gguf -p a -f b
2|--repack and --no-mmap cannot be used together|m.gguf --repack --no-mmap
2|--text and --json cannot be used together|tokenize m.gguf --text --json
2|no model given|bench -p 1
2|--prompt: '' is not a whole number from 0|bench m.gguf -p 1,,2
2|--prompt: '' is not|bench m.gguf -p 1,
2|--prompt: '' is not|bench m.gguf -p ''
2|--n-tokens: '2x' is not|bench m.gguf -n 1,2x
2|--depth: '-1' is not|bench m.gguf --depth=-1
2|--depth: '16777217' is not|bench m.gguf --depth 16777217
2|--depth: '0000000000000000000000000000000...' is too long|bench m.gguf --depth 00000000000000000000000000000000000000x
2|--threads: '0' is not a whole number from 1 to 1024|bench m.gguf --threads 2,0
2|--batch: '65537' is not|bench m.gguf --batch 65537
2|--batch: more than 16 numbers|bench m.gguf --batch 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
2|--repetitions: '0' is not|bench m.gguf -r 0
2|--repetitions: '101' is not|bench m.gguf -r 101
2|-p 0 and -n 0 leave nothing to measure|bench m.gguf -p 0 -n 0
2|--json, --csv and --md cannot be used together|bench m.gguf --json --csv
2|--json, --csv and --md cannot be used together|bench m.gguf --md --csv
2|--compare: {foo} is not one of {model}|bench m.gguf --compare 'x {foo}'
2|--compare: {model_} is not one of {model}|bench m.gguf --compare 'x {model} {model_}'
1|m.gguf: |bench m.gguf
2|eval needs either --tokens or --text|eval m.gguf
2|eval takes either --tokens or --text, not both|eval m.gguf --tokens 1 --text f
2|--logits needs --tokens|eval m.gguf --text f --logits g
2|--json, --raw and --cosine cannot be used together|embed m.gguf --json --raw
2|--tokens and a text cannot be used together|embed m.gguf a --tokens 1
2|the argument 'a' and --file are two prompts|embed m.gguf a -f b
2|--pooling: 'max' is not one of: none|embed m.gguf --pooling max
2|--cosine compares one vector of each text|embed m.gguf --cosine --pooling none
2|rerank needs a query|rerank m.gguf
2|rerank: the query and the documents cannot both be standard input|rerank m.gguf -p -
2|unexpected argument 'a' after the model|rerank m.gguf a
1|/nonexistent.gguf: |/nonexistent.gguf
1|/nonexistent.gguf: |inspect /nonexistent.gguf
1|programs: |tokenize programs -p x
1|programs/main.c: |programs/main.c
1|/nonexistent: |m.gguf -f /nonexistent
END

# -------------------------------------------------------------------------------------------- with a model

stories_text() {
    for model in stories260K stories260K-wide; do
        run "$shared/models/$model.gguf" -p '' -t 0 -n 160
        check "$model: the greedy story" cmp -s "$out" "$shared/models/stories260K.greedy.story.txt"
    done
    run "$shared/models/stories260K-wide-Q8_0.gguf" -t 0 -n 30
    head -c "$(($(wc -c <"$out") - 1))" "$shared/models/stories260K.greedy.story.txt" >"$temporary/start"
    echo >>"$temporary/start"
    check 'Q8_0: the first 30 tokens of the greedy story' cmp -s "$out" "$temporary/start"

    run "$stories" --kv-type f32 -q -n 20 && cp "$out" "$temporary/default"
    run "$stories" --kv-type f32 -q -n 20 -t 0.8 --top-p 0.9 --top-k 40 --seed 42
    check 'the defaults of sampling' cmp -s "$out" "$temporary/default"
    for seed in 0 43; do
        run "$stories" --kv-type f32 -q -n 20 --seed $seed
        check "another seed, another text: $seed" eval 'exits 0 && ! cmp -s "$out" "$temporary/default"'
    done
    for seed in 1 2 3 4 5 6 7 8; do # small seeds, too
        run "$stories" --kv-type f32 -q -n 1 --seed $seed -p 'Lily' && cat "$out"
    done >"$temporary/firsts"
    check 'neighbouring seeds begin in several ways' [ "$(sort -u "$temporary/firsts" | wc -l)" -gt 1 ]
}

prompts() {
    run "$any" -q -t 0 -n 8 -p 'One day,' && cp "$out" "$temporary/argument"
    printf 'One day,' >"$temporary/prompt"
    run "$any" -q -t 0 -n 8 -p - <"$temporary/prompt"
    check '-p - reads standard input' cmp -s "$out" "$temporary/argument"
    run "$any" -q -t 0 -n 8 -f "$temporary/prompt"
    check '-f reads a file' cmp -s "$out" "$temporary/argument"
    run -q -t0 --n-tokens=8 -p 'One day,' -- "$any"
    check 'options before the model, values attached, and --' cmp -s "$out" "$temporary/argument"
    run "$any" -q -t 0 -n 8 -p 'One day,' --echo
    check '--echo prints the prompt too' eval 'printf "One day,%s\n" "$(cat "$temporary/argument")" | cmp -s - "$out"'
    run "$any" -q -t 0 -n 0 -p 'One day,' --echo
    check '-n 0 generates nothing' is_text 'One day,\n'
    while read -r prompt text; do
        printf "$prompt" >"$temporary/prompt"
        run "$any" -q -n 0 -f "$temporary/prompt" --echo
        check "stdout is whole UTF-8 characters: $prompt" is_text "$text\n"
    done <<'END'
a\303\251\342\202\254\360\237\230\200\364\217\277\277 a\303\251\342\202\254\360\237\230\200\364\217\277\277
a\377b a\357\277\275b
a\342\202 a\357\277\275
\360\237\230A \357\277\275A
\303\303\251 \357\277\275\303\251
\300\200 \357\277\275\357\277\275
\355\240\200 \357\277\275\357\277\275\357\277\275
\364\220 \357\277\275\357\277\275
END
    printf 'a\377\000\200b' >"$temporary/prompt"
    run "$any" -q -t 0 -n 8 -f "$temporary/prompt" --echo
    check 'a prompt of any bytes; stdout stays UTF-8' eval 'exits 0 && utf8'
    run "$any" -q -t 0 -n 8 -p "$(printf 'caf\303')" --echo
    check 'half a character in a prompt' eval 'exits 0 && utf8'
    for flag in '--threads 1' '--threads 3' '--batch 1' '--draft lookup' "--draft-model $any" '--no-mmap' --repack '--gpu-layers 0' '--device cpu'; do
        # shellcheck disable=SC2086 # words
        run "$any" -q -t 0 -n 8 -p 'One day,' $flag
        check "the same text with $flag" cmp -s "$out" "$temporary/argument"
    done
    run "$any" -q -t 0 -n 8 -p 'One day,' --kv-type q8_0 --cpu-isa scalar
    check 'a text with --kv-type q8_0 --cpu-isa scalar' eval 'exits 0 && silent && utf8 && [ "$(wc -c <"$out")" -gt 5 ]'
    for isa in avx2 neon; do # a machine has at most one of them
        run "$any" -q -n 1 --cpu-isa $isa
        [ "$status" -eq 0 ] || break
    done
    check '--cpu-isa of another machine is refused' refused 1 "CPU instruction set '$isa'"
}

# A saved text continues as if it had not been saved.
saved_texts() {
    run "$any" -q -t 0 -n 12 -p 'One day,' && cp "$out" "$temporary/whole"
    run "$any" -q -t 0 -n 5 -p 'One day,' --save "$temporary/text.seq"
    check '--save writes a file, and the text as ever' eval 'exits 0 && silent && [ -s "$temporary/text.seq" ] && [ ! -e "$temporary/text.seq.partial" ]'
    printf '%s' "$(cat "$out")" >"$temporary/both"
    run "$any" -t 0 -n 7 --load "$temporary/text.seq"
    check '--load goes on, and evaluates one token' eval 'exits 0 && cat "$out" >>"$temporary/both" && cmp -s "$temporary/both" "$temporary/whole" && says "prompt 1 token,"'
    run "$any" -q -t 0 -n 7 --load "$temporary/text.seq" -p ' Then' --save "$temporary/text.seq"
    check '--load with a prompt, and --save over the same file' eval 'exits 0 && silent'
    run "$any" -t 0 -n 0 --load "$temporary/text.seq"
    check '--load -n 0: the speed is that of what was evaluated' eval 'exits 0 && says "prompt 1 token,"'
    run "$any" -t 0 --ignore-eos -n 9999 --ctx 64 -p 'One day,' --save "$temporary/full.seq"
    check '--save of a text that fills the context' exits 0
    run "$any" -q -t 0 -n 9 --ctx 64 --load "$temporary/full.seq" --save "$temporary/full.seq"
    check '--load of one: it has ended' eval 'exits 0 && says "context: all 64 tokens"'
    run "$any" -t 0 -n 0 --ctx 65 --load "$temporary/full.seq" -p 'a' --save "$temporary/full.seq"
    check '--load and a prompt that fills the context: all is saved' exits 0
    run "$any" -t 0 -n 1 --ctx 66 --load "$temporary/full.seq"
    check 'and there is room for one more token' eval 'exits 0 && says "generated 1 token "'
    run "$any" -q -t 0 -n 7 --load "$temporary/text.seq" --kv-type f32
    check '--load: another type of keys and values' refused 1 "$temporary/text.seq: the sequence was saved with another type of keys and values"
    run "$any" -q -t 0 -n 7 --load "$any"
    check '--load: another file' refused 1 "$any: this is not a saved sequence"
    run "$any" -q -t 0 -n 7 --load "$temporary/missing"
    check '--load: no file' refused 1 "$temporary/missing: No such file"
    run "$any" -q -n 1 --save "$temporary/no folder/file"
    check '--save: no folder, which is said before a text is made' refused 1 "--save $temporary/no folder/file: $temporary/no folder: No such file"
    run "$any" -q -n 1 --save /dev/null
    check '--save: a device, which is said before a text is made' eval 'refused 1 "--save /dev/null: this is not a regular file" && [ ! -s "$out" ]'
    run "$any" -q -n 1 --save ''
    check '--save: no name' refused 2 '--save needs the name of a file'
    run "$any" -q -t 0 -n 5 -p 'One day,' --draft lookup --save "$temporary/drafted.seq"
    run "$any" -q -t 0 -n 7 --load "$temporary/drafted.seq"
    check 'a text that was drafted goes on without drafts' eval 'exits 0 && silent'
    (ulimit -f 2 && run "$any" -q -n 5 --save "$temporary/large.seq" && [ "$status" = 1 ] && says 'File too large') >/dev/null 2>&1
    check '--save: a file that may not grow so large' eval '[ $? = 0 ] && [ ! -e "$temporary/large.seq" ] && [ ! -e "$temporary/large.seq.partial" ]'
}

messages() {
    run "$stories" -q -n 5
    check '-q: nothing on stderr' eval 'exits 0 && silent'
    run "$stories" -n 5
    check 'the summary: one line' eval 'one_line && says "load " && says "prompt 1 token," && says "generated 5 tokens, " &&
        says " tok/s" && says "GB/s of weights" && says "peak memory"'
    check 'no colour where stderr is no terminal' eval '! grep -q "$(printf "\033")" "$err"'
    run "$stories" -n 5 -v
    check '-v: shape, plan, threads and kernels' eval 'says "5 layers" && says "KV cache" && says "threads" && says " kernels"'
    run "$stories" -q -n 5 -v
    check '-q wins over -v' silent
    run "$stories" -t 0 -n 100 --ctx 20
    check 'the end of the context is said, exit 0' eval 'exits 0 && says "context: all 20 tokens are in use" && says "generated 19 tokens"'
    run "$stories" -p 'Once upon a time' --ctx 4
    check 'a prompt longer than the context is refused with both counts' refused 1 'the prompt has 5 tokens, the context holds 4'
    run "$stories" -p 'Once upon a time' --ctx 5 -n 1
    check 'a prompt as long as the context' eval 'exits 0 && says "are in use"'
    run "$stories" -t 0 -n 3 --ctx 600
    check 'a context beyond training is remarked' says 'more than the 512'
    run "$stories" --ctx 2147483647
    check 'a context beyond memory is refused' refused 1 'a context of 2147483647 needs'
}

evaluation() {
    tokens=$(cat "$shared/vectors/tokens.txt")
    for type in F32 Q4_0 Q6_K; do
        model=$shared/vectors/$type.gguf
        run eval "$model" --tokens "$tokens" --logits "$temporary/logits" -q
        cp "$out" "$temporary/argmax"
        check "eval $type: an id a token" eval 'exits 0 && silent && [ "$(wc -w <"$out")" -eq 32 ] && [ "$(wc -l <"$out")" -eq 1 ] &&
            [ "$(wc -c <"$temporary/logits")" -eq 65536 ]'
        for flag in '--batch 1' '--batch 7' '--batch 512' '--threads 1' '--threads 2' '--no-mmap' '--ctx 32' '--ctx 0'; do
            # shellcheck disable=SC2086 # words
            run eval "$model" --tokens "$tokens" --logits "$temporary/logits2" -q $flag
            check "eval $type $flag: the same bytes" eval 'cmp "$temporary/logits" "$temporary/logits2" && cmp "$out" "$temporary/argmax"'
        done
    done
    run eval "$model" --tokens - --logits "$temporary/logits2" -q <"$shared/vectors/tokens.txt"
    check 'eval --tokens - reads standard input' cmp "$temporary/logits" "$temporary/logits2"
    run eval "$model" --tokens "$tokens" --ctx 31
    check 'eval of more than the context is refused with both counts' refused 1 '--tokens has 32 tokens, the context holds 31'
    run eval "$model" --tokens 1,2,512 --logits "$temporary/none"
    check 'eval of an id outside the vocabulary' eval 'refused 1 "token 512" && [ ! -e "$temporary/none" ]'
    run eval "$model" --tokens 1,2,x
    check 'eval of what is no id' refused 2 "--tokens: 'x' is not a token id"
    for ids in 1,,2 ' ,1'; do
        run eval "$model" --tokens "$ids"
        check "eval --tokens '$ids'" refused 2 '--tokens: no token id before a comma'
    done
    run eval "$model" --tokens ' '
    check 'eval of nothing' refused 2 '--tokens: no token ids'
    run eval "$model" --tokens 1 --logits "$temporary/no/such"
    check 'logits to nowhere' refused 1 "$temporary/no/such: "
    bare=$temporary/bare.gguf
    perl -pe 's/tokenizer\.ggml\.model/tokenizer.ggml.none_/' "$model" >"$bare"
    run "$bare" -n 1
    check 'a model without a tokenizer cannot generate' refused 1 "$bare: tokenizer.ggml.model: key is missing"
    run eval "$bare" --text README.md
    check 'nor tell a perplexity' refused 1 "$bare: tokenizer.ggml.model: key is missing"
    run eval "$bare" --tokens "$tokens" -q
    check 'but eval runs it' cmp "$out" "$temporary/argmax"
    perl -0777 -pe 's/(tokenizer\.ggml\.model.{4}\x05.{7})llama/$1other/s' "$model" >"$bare"
    run "$bare" -n 1
    check 'a model with a tokenizer of another kind cannot generate' refused 1 "$bare: tokenizer.ggml.model: "
    run eval "$bare" --tokens "$tokens" -q
    check 'but eval runs that too' cmp "$out" "$temporary/argmax"
    echo precious >"$temporary/precious"
    run eval "$model" --tokens 1,2,512 --logits "$temporary/precious"
    check 'a file of logits is not written over for ids that cannot run' grep -q precious "$temporary/precious"
    run eval "$model" --tokens 1 --logits -
    check 'logits and ids do not share standard output' refused 2 '--logits: '

    damaged=$temporary/damaged.gguf
    perl -0777 -pe 'substr($_, -4) = "\xff\xff\xff\x7f"' "$shared/vectors/F32.gguf" >"$damaged" # the last weight: NaN
    run "$damaged" -n 400 -t 0 --ignore-eos --ctx 500 -q
    check 'generate refuses logits that are no numbers' eval 'exits 1 && says "damaged"'
    run eval "$damaged" --tokens "$tokens" --logits "$temporary/none"
    check 'so does eval --tokens' eval 'refused 1 "$damaged: " && says "not finite" && [ ! -e "$temporary/none" ]'
    run eval "$damaged" --text README.md --ctx 64 -q
    check 'and eval --text' eval 'refused 1 "$damaged: " && says "not finite"'

    too_large=$temporary/too_large.gguf
    at=$("$program" inspect "$shared/vectors/F32.gguf" --tensors | awk '$NF == "blk.0.attn_v.weight" { print $2 }')
    at=$at perl -0777 -pe 'substr($_, $ENV{at}, 4) = "\x28\x6b\x6e\x4e"' "$shared/vectors/F32.gguf" >"$too_large" # 10^9
    run eval "$too_large" --tokens "$tokens"
    check 'values beyond float16 are not called damage, and the option that helps is named' \
        eval 'refused 1 "$too_large: " && says ": --kv-type f32 or --kv-type q8_0" && ! says damaged'
    run "$too_large" -n 4 -q
    check 'so says generate' eval 'exits 1 && says ": --kv-type f32 or --kv-type q8_0"'
    run eval "$too_large" --tokens "$tokens" --kv-type f32
    check 'and it helps' exits 0

    # one token makes the first value larger than 65504: in the first column its embedding is 1000, the weight 5000
    rare=$("$program" tokenize "$shared/vectors/F32.gguf" -p Q --no-bos | tr ' ' '\n' | tail -n 1)
    row=$("$program" inspect "$shared/vectors/F32.gguf" --tensors | awk '$NF == "token_embd.weight" { print $2 }')
    at=$at row=$((row + rare * 1024)) perl -0777 -pe 'substr($_, $ENV{at}, 4) = pack("f", 5000);
        substr($_, $ENV{row}, 4) = pack("f", 1000)' "$shared/vectors/F32.gguf" >"$too_large"
    { echo Q && yes a | head -n 200; } >"$temporary/text"
    run eval "$too_large" --text "$temporary/text" --ctx 64 -q
    check 'eval --text ends at the first chunk that is not finite, which it explains' \
        eval 'refused 1 "$too_large: " && says ": --kv-type f32 or --kv-type q8_0"'
    sed 1d "$temporary/text" >"$temporary/finite"
    run eval "$too_large" --text "$temporary/finite" --ctx 64 -q
    check 'the other chunks are finite' exits 0
}

adapters() {
    if ! command -v python3 >/dev/null; then
        skip adapters 'python3 is missing'
        return
    fi
    lora=$temporary/a:b.gguf wide=$temporary/wide.gguf tokens=1,403,407,261,378,31,7,300
    python3 tests/support/make_lora.py "$stories" "$temporary/lora.gguf"
    cp "$temporary/lora.gguf" "$lora"
    python3 tests/support/make_lora.py "$shared/models/stories260K-wide.gguf" "$wide" 1 blk.0.attn_q
    logits() {
        file=$1
        shift
        run eval "$stories" --tokens $tokens --logits "$temporary/$file" "$@"
    }
    logits plain
    logits adapted --lora "$lora:1"
    check '--lora: other logits' eval 'exits 0 && ! cmp "$temporary/adapted" "$temporary/plain"'
    logits same --lora "$temporary/lora.gguf"
    check '--lora: the scale is 1 unless given' cmp "$temporary/adapted" "$temporary/same"
    logits same --lora "$lora:0" --lora="$temporary/lora.gguf:-0.0"
    check '--lora: of scale 0 nothing is left' cmp "$temporary/plain" "$temporary/same"
    logits other --lora "$lora:0.25" --lora "$lora:-1e-1"
    check '--lora twice, one of them subtracted' eval 'exits 0 && ! cmp "$temporary/other" "$temporary/adapted" && ! cmp "$temporary/other" "$temporary/plain"'
    for flag in --no-mmap --repack '--batch 3' '--threads 2'; do
        # shellcheck disable=SC2086 # words
        logits same --lora "$lora:1" $flag
        check "the same bits with --lora and $flag" cmp "$temporary/adapted" "$temporary/same"
    done
    (cd "$temporary" && mkdir -p 0:0 && cp lora.gguf 0:0) # a colon before a slash does not begin a scale
    logits same --lora "$temporary/0:0/lora.gguf"
    check '--lora: a colon in a folder' cmp "$temporary/adapted" "$temporary/same"
    run "$stories" -n 3 -v --lora "$lora:0.5"
    check '--lora -v: the adapter is told' eval 'exits 0 && says "adapter: $lora, scale 0.5"'
    run bench "$stories" -p 3 -n 2 -r 1 --lora "$lora:1"
    check 'bench --lora' exits 0
    run "$stories" -n 1 --device opencl --lora "$lora:1"
    check 'a GPU that was named refuses adapters' eval 'exits 1 && says "--device opencl: the model has LoRA adapters"'
    run "$stories" -n 1 -v --device auto --lora "$lora:1"
    check 'auto leaves adapters to the CPU, and says so' eval 'exits 0 && says "device: cpu, because the model has LoRA adapters"'
    run "$stories" -n 1 --lora "$stories"
    check '--lora: a model is no adapter' refused 1 "$stories: general.type: it is not 'adapter'"
    run "$temporary/lora.gguf" -n 1
    check 'an adapter is no model' refused 1 "$temporary/lora.gguf: general.type: this file is an adapter"
    run inspect "$temporary/lora.gguf" --tensors
    check 'but inspect shows it' eval 'exits 0 && prints "blk.0.attn_q.weight.lora_a" && prints adapter.lora.alpha'
    run "$stories" -n 1 --lora "$wide"
    check '--lora: an adapter of another model' refused 1 "$wide: blk.0.attn_q.weight.lora_"
    run "$stories" -n 1 --lora "$temporary/none.gguf"
    check '--lora: a file that is not there' refused 1 "--lora: $temporary/none.gguf: No such file or directory"
}

# The metadata of a file, and the values that --override gives instead
overrides() {
    run inspect "$stories" --override llama.context_length=int:1024 --override .rope.freq_base=float:2e4 \
        --override general.name=str:a:b=c --override x.small=int:-5 --override x.yes=bool:true
    check 'inspect --override: values replaced and added, and marked' eval 'exits 0 && silent &&
        [ "$(sed -n "/(overridden.*)$/s/  */ /gp" "$out")" = "$(printf " %s)\n" "general.name string \"a:b=c\" (overridden" \
            "llama.context_length uint32 1024 (overridden" "x.small int64 -5 (overridden, not used" \
            "x.yes bool true (overridden, not used" "llama.rope.freq_base float64 2e+04 (overridden")" ] &&
        prints "context of 1024 tokens"'
    run inspect "$stories" --json --override .context_length=int:1024
    check 'inspect --json --override' eval 'exits 0 && tr -d " \n" <"$out" | grep -q "\"overridden\":\[\"llama.context_length\"\]" &&
        grep -q "\"llama.context_length\": 1024" "$out"'
    run inspect "$stories"
    check 'nothing is overridden without being asked' eval '! prints overridden'

    run tokenize "$stories" -p Once --override tokenizer.ggml.add_bos_token=bool:false
    check 'tokenize --override' is_text '403\n'
    run detokenize "$stories" 1 403 --override tokenizer.ggml.add_bos_token=bool:false
    check 'detokenize --override' eval 'exits 0 && prints "<s>"'
    run "$stories" -t 0 -n 20 --override .context_length=int:8
    check 'generate --override' eval 'exits 0 && says "context: all 8 tokens are in use"'
    run bench "$stories" -p 1 -n 0 -r 1 --threads 1 --override .context_length=str:8
    check 'bench --override: another type than the file has is found at the start' refused 1 \
        "$stories: llama.context_length: a value of type str cannot replace the file's uint32; use type int"
    while IFS='|' read -r message override; do
        # shellcheck disable=SC2086 # words
        run inspect "$stories" --override $override
        check "refused: --override $override" refused 1 "$stories: $message"
    done <<'END'
general.alignment: it says where the file's tensors are|general.alignment=int:32
split.count: it says where the file's tensors are|split.count=int:2
llama.block_count: -1 does not fit uint32, which is from 0 to 4294967295|.block_count=int:-1
tokenizer.ggml.tokens: the file has an array here|tokenizer.ggml.tokens=str:x
general.name: the key is given twice|general.name=str:x --override general.name=str:y
END
    run eval "$stories" --tokens 1 --override .block_count=int:6
    check 'a model that the tensors do not make is refused' refused 1 "$stories: blk.5."

    tokens=1,403,407,261,378,31,7,300
    logits() { run eval "$stories" --tokens $tokens --logits "$temporary/$1" --kv-type f32 $2; }
    logits plain ''
    for flags in '--rope-freq-base 10000' '--rope-scale 1' '--rope-scaling none' '--rope-scaling linear' \
        '--override llama.rope.freq_base=float:1e4'; do
        logits same "$flags"
        check "the same logits with $flags" eval 'exits 0 && cmp "$temporary/same" "$temporary/plain"'
    done
    logits linear '--rope-scaling linear --rope-scale 4'
    logits scaled '--rope-scale 4'
    check '--rope-scale: by itself it is linear' eval 'cmp "$temporary/linear" "$temporary/scaled" && ! cmp "$temporary/plain" "$temporary/scaled"'
    logits same '--override llama.rope.scaling.factor=float:4'
    check '--rope-scale is an override' cmp "$temporary/same" "$temporary/scaled"
    logits same '--override llama.rope.scale_linear=float:2 --rope-scale 4'
    check '--rope-scale counts before the older key' cmp "$temporary/same" "$temporary/scaled"
    for flags in '--rope-scaling yarn --rope-scale 4' '--rope-freq-base 500000' '--rope-scale 2'; do
        logits other "$flags"
        check "other logits with $flags" eval 'exits 0 && ! cmp "$temporary/other" "$temporary/plain" && ! cmp "$temporary/other" "$temporary/scaled"'
    done
    logits other '--rope-scale 4 --override llama.rope.scaling.type=str:none'
    check '--rope-scale of an unscaled model: it is said that it has no effect' eval 'exits 0 &&
        says "llama.rope.scaling.factor has no effect: this model does not use it" &&
        cmp "$temporary/other" "$temporary/plain"'
    run eval "$stories" --tokens 1 --rope-scaling longrope --rope-scale 4
    check '--rope-scale has no effect on longrope, which is said too' says 'llama.rope.scaling.factor has no effect'
    check '--rope-scaling longrope needs tensors' says '--rope-scaling longrope has no effect: the file has no tensor'
    run eval "$stories" --tokens 1 --rope-scaling yarn
    check '--rope-scaling yarn needs a factor' says '--rope-scaling yarn has no effect without a factor: give --rope-scale'
    run eval "$stories" --tokens 1 --rope-scaling linear --rope-scale 2 --rope-freq-base 20000 -v
    check 'what has an effect is listed by -v, and nothing else is said of it' eval 'exits 0 && says "override: llama.rope.freq_base" &&
        says "override: llama.rope.scaling.factor" && ! says "no effect"'
    run eval "$stories" --tokens 1 --override llama.rope.freq_bsae=float:2 --pre qwen2
    check 'a key that nothing reads is named' eval 'exits 0 && says "llama.rope.freq_bsae has no effect" && says "tokenizer.ggml.pre has no effect"'
    run tokenize "$stories" -p a --pre qwen2
    check 'tokenize: --pre of a vocabulary without a pre-tokenizer' eval 'exits 0 && says "tokenizer.ggml.pre has no effect"'
    logits none '--rope-scale 4 --override llama.rope.scaling.factor=float:4'
    check 'an option and an --override of one key' refused 1 "$stories: llama.rope.scaling.factor: the key is given twice"
}

# Families whose files scale RoPE: linear by 4, YaRN by 8
scaled_families() {
    ids=$(tr -s ' \n' ',' <"$shared/families/tokens.txt" | sed 's/,$//')
    while read -r family factor other; do
        model=$shared/families/$family.gguf
        run eval "$model" --tokens "$ids" --logits "$temporary/own" -q
        run eval "$model" --tokens "$ids" --logits "$temporary/same" -q --rope-scale "$factor" --rope-freq-base 10000
        check "$family: --rope-scale $factor and --rope-freq-base 10000 are what it says" eval 'exits 0 && cmp "$temporary/own" "$temporary/same"'
        for flags in "--rope-scale $other" '--rope-scaling none' '--rope-freq-base 10001'; do
            # shellcheck disable=SC2086 # words
            run eval "$model" --tokens "$ids" --logits "$temporary/other" -q $flags
            check "$family: $flags are other logits" eval 'exits 0 && ! cmp "$temporary/own" "$temporary/other"'
        done
    done <<'END'
llama-linear 4 2
llama-yarn 8 4
END
}

exactness() {
    for model in "$shared"/vectors/*.gguf; do
        run eval "$model" --tokens "$(cat "$shared/vectors/tokens.txt")" --logits "$temporary/logits" --cpu-isa scalar --kv-type f32 -q
        floats "${model%.gguf}.logits.f32" >"$temporary/want"
        floats "$temporary/logits" >"$temporary/got"
        nmse=$(paste "$temporary/got" "$temporary/want" | awk '{ e += ($1 - $2) ^ 2; s += $2 ^ 2 }
            END { printf "%.2e %s", e / s, NR == 16384 && e / s < 1e-6 ? "good" : "bad" }')
        check "eval $(basename "$model"): NMSE $nmse" [ "${nmse#* }" = good ]
    done
}

# llama.cpp's rule, from the logits that eval writes: 3 chunks of 48 tokens, the second half of each scored
perplexity() {
    cat "$shared/models/stories260K.greedy.story.txt" >"$temporary/text"
    run tokenize "$stories" --no-special <"$temporary/text"
    ids=$(cat "$out")
    for chunk in 1 2 3; do
        # shellcheck disable=SC2046 # words
        set -- $(printf '%s\n' "$ids" | cut -d ' ' -f $((chunk * 48 - 47))-$((chunk * 48)))
        shift
        run eval "$stories" --tokens "1 $*" --logits "$temporary/logits" --kv-type f32 -q
        floats "$temporary/logits" | awk -v ids="1 $*" '
            BEGIN { split(ids, id, " ") }
            { logit[NR - 1] = $1 }
            END {
                for (i = 24; i <= 46; i++) {
                    sum = 0
                    for (v = 0; v < 512; v++) sum += exp(logit[i * 512 + v])
                    print log(sum) - logit[i * 512 + id[i + 2]]
                }
            }'
    done >"$temporary/surprises"
    want=$(awk '{ s += $1; q += $1 * $1 } END { m = s / NR; printf "perplexity: %.4f +/- %.5f (3 chunks of 48 tokens)", exp(m),
        exp(m) * sqrt((q / NR - m * m) / (NR - 1)) }' "$temporary/surprises")
    run eval "$stories" --text "$temporary/text" --ctx 48 --kv-type f32 -q
    check "$want" eval 'exits 0 && silent && [ "$(cat "$out")" = "$want" ]'
    run eval "$stories" --text "$temporary/text" --ctx 48 --kv-type f32 -q --batch 5
    check 'the same for another batch' [ "$(cat "$out")" = "$want" ]
    run eval "$stories" --text "$temporary/text"
    check 'a text of less than two chunks is refused with both counts' refused 1 "$temporary/text: $(echo "$ids" | wc -w | tr -d ' ') tokens are too few: two chunks of 512 need 1024"
    run eval "$stories" --text "$temporary/text" --override .context_length=int:600
    check 'chunks have 512 tokens by default' eval 'exits 1 && says "two chunks of 512 need 1024"'
    run eval "$stories" --text "$temporary/text" --override .context_length=int:600 --ctx 0
    check 'with --ctx 0 they are as long as the context of the model' eval 'exits 1 && says "two chunks of 600 need 1200"'
}

inspection() {
    for model in "$stories" "$shared"/models/*Q4_K_M.gguf "$shared"/vocab/*phi-3.gguf "$shared"/families/gpt2.gguf; do
        run inspect "$model"
        check "inspect $(basename "$model")" eval 'exits 0 && silent && prints "GGUF version" && prints general.architecture'
        run inspect "$model" --json --tensors
        if command -v python3 >/dev/null; then
            check "inspect --json $(basename "$model")" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert d["metadata"]["general.architecture"] and d["version"] == 3 and d["memory"]
product = lambda t: __import__("math").prod(t["shape"])
assert sum(map(product, d["tensors"])) == d["parameters"]
assert sum(t["bytes"] for t in d["tensors"]) == sum(t["bytes"] for t in d["types"]) <= d["bytes"]' "$out"
        else
            skip "inspect --json $(basename "$model")" 'python3 is missing'
        fi
    done
    run inspect "$stories" --tensors --ctx 64
    check 'inspect --tensors: name, type, shape' eval 'grep -q "^F32 .*\[64, 512\].*token_embd.weight" "$out"'
    check 'inspect --ctx' prints 'context of 64 tokens'
    run inspect "$stories" --ctx 2147483647
    check 'inspect: a plan that does not fit is printed, with a note' eval 'exits 0 && prints "KV cache" && prints "note: "'
}

templates() {
    own='tokenizer.chat_template=str:{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}{{ x }}'
    printf '{"messages": [{"role": "user", "content": "Hi </s>"}], "x": 1}' >"$temporary/conversation"
    run template "$any" --override "$own" <"$temporary/conversation"
    check "template: the model's own, and the vocabulary's begin token; no newline is added" is_text '<s>[user] Hi </s>1'
    run template "$any" --override "$own" -f "$temporary/conversation" --parts --chat-template-kwargs '{"x": "<"}'
    check 'template --parts: who said what' is_text \
        '{"trusted":true,"text":"<s>["}\n{"trusted":false,"text":"user"}\n{"trusted":true,"text":"] "}\n{"trusted":false,"text":"Hi </s><"}\n'
    printf '{%% if x %%}\n{{ raise_exception("no " ~ x) }}{%% endif %%}{{ strftime_now("%%Y-%%m-%%d") }}\n' >"$temporary/file.jinja"
    run template --chat-template "$temporary/file.jinja" --now 0 <"$temporary/conversation"
    check 'template: one that refuses the conversation' refused 1 'chat template, line 2, column 4: no 1'
    run template --chat-template "$temporary/file.jinja" --now 86400 -f /dev/null
    check 'template: no conversation' refused 1 'JSON, line 1, column 1: a value was expected'
    (TZ=UTC && export TZ && echo '{}' | "$program" template --chat-template "$temporary/file.jinja" --now 86400) >"$out" 2>"$err"
    check 'template --now' is_text '1970-01-02'
    run template "$any" --override "tokenizer.chat_template.tool_use=str:tools" --chat-template tool_use -f "$temporary/conversation"
    check 'template --chat-template NAME' is_text 'tools'
    run template "$any" --chat-template nothing -f "$temporary/conversation"
    check 'template: no such name or file' refused 1 "there is no chat template 'nothing', neither in the file nor among chatml,"
    run template "$any" -f "$temporary/conversation"
    check 'template: a model without one' refused 1 'the file has no chat template (tokenizer.chat_template), and no known family'
    run template "$any" --chat-template chatml -f "$temporary/conversation"
    check "template: that of a family" is_text '<|im_start|>user\nHi </s><|im_end|>\n'
    printf '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}], "continue_final_message": true}' >"$temporary/conversation"
    printf '%s' '{% for m in messages %}{% if loop.index0 and m.role == loop.previtem.role %}{{ raise_exception("twice") }}{% endif %}({{ m.role }}:{{ m.content }}){% endfor %}' >"$temporary/file.jinja"
    run template --chat-template "$temporary/file.jinja" -f "$temporary/conversation"
    check 'template: messages as they are' refused 1 'chat template, line 1, column 80: twice'
    run template --chat-template "$temporary/file.jinja" -f "$temporary/conversation" --adapt
    check 'template --adapt, continue_final_message' is_text '(user:a\n\nb)(assistant:c'
    run template --chat-template "$temporary/file.jinja" --chat-template-kwargs '[1]'
    check 'template: no object' refused 2 "--chat-template-kwargs: '[1]' is not a JSON object"
    printf '{%% for m in messages %%}<{{ m.role }}>{{ m.content }}{%% endfor %%}' >"$temporary/file.jinja"
    printf 'Hm.\n<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>' >"$temporary/answer"
    run template --chat-template "$temporary/file.jinja" --parse -f "$temporary/answer"
    check 'template --parse' is_text '{"reasoning_content":null,"content":"Hm.","tool_calls":[{"id":"call_0","type":"function","function":{"name":"f","arguments":"{\\"a\\": 1}"}}]}\n'
    printf '[{"type": "function", "function": {"name": "g"}}]' >"$temporary/tools"
    run template --chat-template "$temporary/file.jinja" --parse --tools "$temporary/tools" <"$temporary/answer"
    check 'template --parse --tools: no such tool' prints '"tool_calls":[]'
    run template --chat-template "$temporary/file.jinja" --tools "$temporary/tools" -f "$temporary/answer"
    check 'template: --tools without --parse' refused 2 '--tools goes with --parse'
    run template --chat-template "$temporary/file.jinja" --parse --parts -f "$temporary/answer"
    check 'template: --parse and --parts' refused 2 '--parse and --parts cannot be used together'
}

tokens() {
    run tokenize "$stories" -p 'Once upon a time'
    check 'tokenize' is_text '1 403 407 261 378\n'
    run tokenize "$stories" -p 'Once upon a time' --no-bos
    check 'tokenize --no-bos' is_text '403 407 261 378\n'
    echo 'Once upon a time' >"$temporary/text"
    run tokenize "$stories" <"$temporary/text"
    check 'tokenize takes all of standard input, its last newline too' is_text '1 403 407 261 378 13\n'
    run tokenize "$stories" -p '</s>' --no-bos
    check 'control tokens are found in text' is_text '2\n'
    run tokenize "$stories" -p '</s>' --no-bos --no-special
    check 'but not with --no-special' eval '[ "$(wc -w <"$out")" -gt 1 ]'
    run tokenize "$stories" -p "$(printf 'Once\001\377')" --text
    check 'tokenize --text' is_text '1\t<s>\n403\t\342\226\201Once\n4\t<0x01>\n258\t<0xFF>\n'
    run tokenize "$stories" -p Once --json
    check 'tokenize --json' eval '[ "$(tr -d " \n" <"$out")" = "{\"count\":2,\"tokens\":[{\"id\":1,\"piece\":\"<s>\",\"control\":true},{\"id\":403,\"piece\":\"$(printf "\342\226\201")Once\"}]}" ]'
    run tokenize "$stories" </dev/null
    check 'tokenize of nothing' is_text '1\n'
    run tokenize "$stories" -p '</s>' --no-bos --json
    check 'tokenize --json tells what is control and what ends a text' eval 'prints "\"control\": true" && prints "\"ends\": true"'
    if [ -r "$shared/vocab/ggml-vocab-qwen2.gguf" ]; then
        run tokenize "$shared/vocab/ggml-vocab-qwen2.gguf" -p "a 12'S" --text
        check 'tokenize by byte-level BPE' is_text "64\ta\n220\t\304\240\n16\t1\n17\t2\n13272\t'S\n"
        run tokenize "$shared/vocab/ggml-vocab-qwen2.gguf" -p "a 12'S" --pre gpt-2
        check 'tokenize --pre' eval 'exits 0 && [ "$(wc -w <"$out")" -eq 6 ]'
        run tokenize "$shared/vocab/ggml-vocab-qwen2.gguf" -p a --pre no-such
        check 'tokenize --pre: a name that is not known' refused 1 "$shared/vocab/ggml-vocab-qwen2.gguf: tokenizer.ggml.pre: the pre-tokenizer \"no-such\" is not known"
    else
        skip 'tokenize by byte-level BPE' 'MINICLLM_SHARED/vocab is missing'
    fi

    for text in 'Once upon a time' ' two  spaces ' 'line\nline\n' 'caf\303\251 \360\237\230\200' '\377\200\303' '<s> and </s>' '' \
        '\t<s>' 'a\000b'; do
        printf "$text" >"$temporary/text"
        run tokenize "$stories" <"$temporary/text"
        cp "$out" "$temporary/ids"
        run detokenize "$stories" <"$temporary/ids"
        check "detokenize restores '$text'" cmp -s "$out" "$temporary/text"
    done
    run detokenize "$stories" 1,403 407 '261 378'
    check 'detokenize takes ids as arguments' is_text 'Once upon a time'
    run detokenize "$stories" 403 512
    check 'detokenize: an id outside the vocabulary' refused 1 'token 512 is not in the vocabulary of 512'
    run detokenize "$stories" 403 -- -5
    check 'detokenize: what is no id' refused 2 "detokenize: '-5' is not a token id"
    run detokenize "$stories" 99999999999999999999
    check 'detokenize: a number too large' refused 2 'detokenize: '
}

# All cases of llama.cpp's vocabularies, of files without tensors: texts between marks, and a line of ids for each
vocabularies() {
    for name in llama-spm phi-3 gpt-2 llama-bpe qwen2 deepseek-llm; do
        vocabulary=$shared/vocab/ggml-vocab-$name.gguf
        rm -f "$temporary"/case.*
        awk -v prefix="$temporary/case." '
            /^__ggml_vocab_test__$/ { n++; file = prefix n; printf "%s", text > file; close(file); text = ""; first = 0; next }
            { text = text (first++ ? "\n" : "") $0 }' "$vocabulary.inp"
        wrong='' n=0
        while IFS= read -r want; do
            n=$((n + 1))
            run tokenize "$vocabulary" --no-bos --no-special <"$temporary/case.$n"
            [ "$(cat "$out")" = "${want# }" ] || wrong="$wrong $n"
        done <"$vocabulary.out"
        check "$name: the $n cases of llama.cpp$wrong" [ "$n-$wrong" = 46- ]
    done
}

demo_model() {
    run "$demo" -n 100 -t 0
    check 'the demo model writes' eval 'exits 0 && [ "$(wc -c <"$out")" -gt 50 ] && says "generated "'
    run "$demo" -q -n 500 --seed 1
    check 'the demo model comes to an end by itself' eval 'exits 0 && silent && utf8'
    run "$demo" -n 200 --seed 1 --ignore-eos
    check '--ignore-eos goes on' eval 'exits 0 && says "generated 200 tokens" && ! prints "</s>"'
    run "$demo" --seed 1 --ignore-eos
    check 'without -n there are 256 tokens' eval 'exits 0 && says "generated 256 tokens"'
    run eval "$demo" --tokens 1,2,3 --logits "$temporary/logits" --batch 1 -q
    run eval "$demo" --tokens 1,2,3 --logits "$temporary/logits2" --threads 1 -q
    check 'the demo model: the same bits' cmp "$temporary/logits" "$temporary/logits2"
    run inspect "$demo"
    check 'inspect the demo model' eval 'exits 0 && prints "llama"'
    printf 'One day' >"$temporary/text"
    run tokenize "$demo" <"$temporary/text"
    cp "$out" "$temporary/ids"
    run detokenize "$demo" <"$temporary/ids"
    check 'the demo model: there and back' is_text 'One day'
}

# field NAME: this field in the last line of the CSV in $out
field() { awk -F , -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i } END { print $at }' "$out"; }

benchmarks() {
    run bench "$any" -p 16,8 -n 4 --depth 0,20 --threads 1,2 --batch 8 -r 2 --csv
    check 'bench --csv: all combinations, under a line of names' eval 'exits 0 && silent && [ "$(wc -l <"$out")" -eq 9 ] &&
        [ "$(awk -F , "{ print NF }" "$out" | sort -u)" = 29 ] && grep -q "^model,file,.*,prompt_tok_s,.*,decode_tok_s," "$out" &&
        [ "$(cut -d , -f 8-12 "$out" | tail -n 8 | sort -u | wc -l)" -eq 8 ] && prints ",2,8,16,20,4,0," && prints ",1,8,8,0,4,0,"'
    run bench "$any" -p 8 -n 4 --depth 20 --threads 1 -r 3
    check 'bench: the machine, and a table of a line a test' eval 'exits 0 && silent && [ "$(wc -l <"$out")" -eq 6 ] &&
        prints "1 thread: reads " && prints "the median of 3 runs" && grep -q "^model .* test .* tok/s .* GMAC/s .* GB/s" "$out" &&
        grep -q " 1  *512  pp8@20  *[0-9.]* .*%  *-  *-$" "$out" && grep -q " tg4@20  *[0-9.]*  .*%  .*%$" "$out"'
    check 'bench: the columns are aligned' [ "$(tail -n 3 "$out" | awk '{ print length }' | sort -u | wc -l)" -eq 1 ]
    run bench "$any" -p 0 -n 3 --sequences 1,4 --depth 5 -r 1
    check 'bench --sequences: all of them, and each' eval 'exits 0 && silent && grep -q "^model .* tok/s .* each .* GB/s" "$out" &&
        [ "$(grep -c " bt[14]@5 " "$out")" -eq 2 ]'
    run bench "$any" -p 0 -n 3 --sequences 4 --depth 5 -r 1 --compare 'echo bt{sequences}@{depth} 12.5'
    check 'bench --sequences --compare' eval 'exits 0 && grep -q " 12.50 " "$out"'
    run bench "$any" "$any" -p 8 -n 4 --threads 1 -r 1 --md
    check 'bench --md: several models in a Markdown table' eval 'exits 0 && [ "$(grep -c "^| .* |$" "$out")" -eq 6 ] &&
        grep -q "^| -*- | -*: |" "$out" && [ "$(grep "^|" "$out" | tr -cd "|\n" | sort -u)" = "||||||||||||" ]'
    run bench "$any" -p 0 -n 4 -r 1 --threads 1 --csv
    check 'bench -p 0 measures no prompt' eval 'exits 0 && [ "$(wc -l <"$out")" -eq 2 ] && [ -z "$(field prompt_tok_s)$(field gmac_s)" ] &&
        [ -n "$(field decode_tok_s)" ] && [ -n "$(field gb_s)" ]'
    run bench "$any" -p 4 -n 0 -r 1 --threads 1
    check 'bench -n 0 decodes nothing' eval 'exits 0 && prints pp4 && ! prints tg'
    run bench "$any" -p 4 -n 2 -r 1 --threads 1 --csv --kv-type q8_0 --cpu-isa scalar --no-mmap
    check 'bench: the settings are those asked for' eval 'exits 0 && [ "$(field cpu_isa)$(field kv_type)" = scalarq8_0 ]'
    run bench "$any" /nonexistent.gguf -p 4 -n 4
    check 'bench: an unknown model among several is found at the start' refused 1 '/nonexistent.gguf: '

    if command -v python3 >/dev/null; then
        run bench "$any" -p 16,8 -n 4,0 --threads 1 -r 4 --json
        check 'bench --json' python3 -c '
import json, math, sys
d = json.load(open(sys.argv[1]))
assert [(r["prompt"], r["gen"]) for r in d["results"]] == [(16, 4), (16, 0), (8, 4), (8, 0)]
assert d["machine"]["ceilings"][0]["threads"] == 1 and d["machine"]["ceilings"][0]["read_gb_s"] > 0.01
assert d["machine"]["ceilings"][0]["float_gmac_s"] > 0.001
for r in d["results"]:
    assert r["threads"] == 1 and r["batch"] == 512 and r["depth"] == 0 and r["file"].endswith(r["model"])
    assert 0 < r["prompt_tok_s_min"] <= r["prompt_tok_s"] <= r["prompt_tok_s_max"]
    assert 0 <= r["prompt_tok_s_spread"] <= (r["prompt_tok_s_max"] - r["prompt_tok_s_min"]) / 2
    if r["gen"] == 0: assert r["decode_tok_s"] is None and r["gb_s"] is None
    else: assert 0 < r["decode_tok_s_min"] <= r["decode_tok_s"] <= r["decode_tok_s_max"]' "$out"
    else
        skip 'bench --json' 'python3 is missing'
    fi
}

# The cost of a token, counted by hand. All matrices are F32: 5 layers of 64 x (64 + 32 + 32 + 64 + 3 x 172), and the
# output of 64 x 512, which is the embedding, too. There are 8 heads of 8, and 4 heads of keys and values.
bench_costs() {
    run bench "$stories" -p 100 -n 10 --depth 40 -r 1 --threads 1 --csv
    layers=$((5 * 64 * (64 + 32 + 32 + 64 + 3 * 172))) attention=$((5 * 8 * 16))
    check 'bench: GMAC/s of a prompt' awk -v got="$(field gmac_s)" -v speed="$(field prompt_tok_s)" -v layers="$layers" \
        -v attention=$attention 'BEGIN { want = speed * (layers + 64 * 512 / 100 + attention * (40 + 50.5)) / 1e9
            exit !(got > want * 0.999 && got < want * 1.001) }'
    check 'bench: GMAC/s of decoding' awk -v got="$(field decode_gmac_s)" -v speed="$(field decode_tok_s)" -v layers="$layers" \
        -v attention=$attention 'BEGIN { want = speed * (layers + 64 * 512 + attention * (40 + 5.5)) / 1e9
            exit !(got > want * 0.999 && got < want * 1.001) }'
    check 'bench: GB/s of decoding' awk -v got="$(field gb_s)" -v speed="$(field decode_tok_s)" -v layers="$layers" \
        'BEGIN { want = speed * (4 * (layers + 64 * 512 + 64) + 2 * 5 * 4 * 16 * (40 + 5.5)) / 1e9
            exit !(got > want * 0.999 && got < want * 1.001) }'
}

# A mixture: 2 layers of width 192, in which a token uses 4 of 8 experts of 64 and a shared one of 128.
mixture_costs() {
    mixture=$shared/families/qwen2moe.gguf
    run bench "$mixture" -p 100 -n 0 -r 1 --threads 1 --csv
    layers=$((2 * 192 * (192 + 64 + 64 + 192 + 8 + 4 * 3 * 64 + 3 * 128))) attention=$((2 * 6 * 64))
    check 'bench: GMAC/s of a mixture: the experts that a token uses, and the shared one' awk -v got="$(field gmac_s)" -v speed="$(field prompt_tok_s)" \
        -v layers="$layers" -v attention=$attention 'BEGIN { want = speed * (layers + 192 * 512 / 100 + attention * 50.5) / 1e9
            exit !(got > want * 0.999 && got < want * 1.001) }'
}

comparison() {
    spaced="$temporary/it's a model.gguf"
    cp "$any" "$spaced"
    # the arguments of the command go to a file; of its output, only the last line counts
    # shellcheck disable=SC2016 # for the other shell
    note="printf '%s\n' {model} {threads} {prompt}:{gen}:{depth} >>'$temporary/asked'; p={prompt}"
    run bench "$spaced" -p 8 -n 4 --depth 3 --threads 1 -r 2 --csv --compare "$note; echo loading; "'
        echo "pp${p} 20.0 tg4@3 1e1"; echo'
    check 'bench --compare: both medians and their ratio' eval 'exits 0 && silent && [ "$(field prompt_theirs_tok_s)" = 20 ] &&
        [ "$(field decode_theirs_tok_s)" = 10 ] && awk -v ours="$(field decode_tok_s)" -v ratio="$(field decode_ratio)" \
            "BEGIN { exit !(ratio > 0 && ratio < ours / 10 * 1.2 && ratio > ours / 10 / 1.2) }"'
    check 'bench --compare: quoted values, a run a pair, each kind for itself' [ "$(tr '\n' ' ' <"$temporary/asked")" = \
        "$spaced 1 8:0:3 $spaced 1 8:0:3 $spaced 1 0:4:3 $spaced 1 0:4:3 " ]
    for form in '' --md --json; do
        # shellcheck disable=SC2086 # a word or none
        run bench "$any" -p 8 -n 0 --threads 1 -r 1 $form --compare 'echo pp8 20'
        check "bench --compare: the ratio is printed $form" eval 'exits 0 && silent && prints ratio && prints theirs'
    done
    # the median of three runs: 1, 100, and one in which their side is very fast
    run bench "$any" -p 8 -n 0 --threads 1 -r 3 --csv --compare "echo x >>'$temporary/n'"'; case $(wc -l <'"'$temporary/n'"') in
        *1) echo pp8 1 ;; *2) echo pp8 1000000000 ;; *) echo pp8 100 ;; esac'
    check 'bench --compare: the median of theirs' [ "$(field prompt_theirs_tok_s)" = 100 ]
    while IFS='|' read -r message line; do
        run bench "$any" -p 8 -n 0 --threads 1 -r 1 --compare "$line"
        check "bench --compare $line" eval 'refused 1 "--compare: the command ended with status $message"'
    done <<'END'
3 and the line 'oops'|echo early; echo oops; exit 3
1 and the line 'pp8 1'|echo pp8 1; exit 1
127 and the line ''|exec /nonexistent/command 2>/dev/null
137 and the line ''|kill -9 $$
3 and the line 'x'|printf 'x \f\v\n\f\n\v\n\n'; exit 3
0, but its last line ''|:
0, but its last line 'pp9 1' has no result of the form 'pp8|echo pp9 1
0, but its last line 'pp8 0'|echo pp8 0
0, but its last line 'pp8 x'|echo pp8 x
0, but its last line 'pp8 nan'|echo pp8 nan
0, but its last line 'pp8 5 words'|echo pp8 5 words
0, but its last line 'tg8@0 5'|echo tg8@0 5
0, but its last line 'a\x01b'|printf 'a\001b\n'
END
    run bench "$any" -p 0 -n 8 --depth 2 --threads 1 -r 1 --compare 'echo tg8 5'
    check 'bench --compare: a speed at another depth does not count' refused 1 "--compare: the command ended with status 0, but its last line 'tg8 5' has no result of the form 'tg8@2"
    # shellcheck disable=SC2016
    run bench "$any" -p 8 -n 0 --threads 1 -r 1 --csv --compare 'x=7; echo pp8 ${x}'
    check "bench --compare: the shell's own braces are left alone" [ "$(field prompt_theirs_tok_s)" = 7 ]
    if [ -e /proc/self/stat ]; then
        # The command prints the clock ticks that our process used while the command ran. On a busy machine our threads
        # may still look for work then, so there are five tries.
        for _ in 1 2 3 4 5; do
            # shellcheck disable=SC2016
            run bench "$any" -p 8 -n 0 --threads 2 -r 1 --csv --compare 'ticks() { awk "{ print \$14 + \$15 }" /proc/$PPID/stat; }
                before=$(ticks); sleep 0.3; after=$(ticks); echo pp8 $((after - before + 1))'
            [ "$(field prompt_theirs_tok_s)" -gt 2 ] || break
        done
        check 'bench --compare: our threads sleep meanwhile' eval 'exits 0 && [ "$(field prompt_theirs_tok_s)" -le 2 ]'
    else
        skip 'bench --compare: our threads sleep meanwhile' 'there is no /proc'
    fi
}

for name in prompts saved_texts templates benchmarks comparison; do group $name "$any"; done
for name in stories_text messages bench_costs perplexity inspection tokens overrides; do group $name "$stories"; done
group mixture_costs "$shared/families/qwen2moe.gguf"
group adapters "$stories $shared/models/stories260K-wide.gguf"
group evaluation "$shared/vectors/tokens.txt"
group scaled_families "$shared/families/tokens.txt"
group exactness "$shared/vectors/tokens.txt"
group vocabularies "$shared/vocab"
group demo_model "$demo"

finish
