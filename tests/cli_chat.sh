#!/bin/sh
# mini-cllm chat: tests/cli_chat.sh BUILD, from the top of the repository. Prints TAP. A published model,
# smollm2.gguf, is in the folder $MINICLLM_PUBLISHED, or build/published.
set -u
LC_ALL=C.UTF-8
export LC_ALL

. tests/support/program.sh

published=${MINICLLM_PUBLISHED:-build/published}/smollm2.gguf
template=$temporary/plain.jinja
printf '%s' '{% for m in messages %}{{ m.role }}:{{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}' >"$template"

# chat ARGUMENTS: one question to the small model, at temperature 0
chat() { run chat "$any" --chat-template "$template" -t 0 -n 16 --threads 1 "$@"; }

# talk SCRIPT ARGUMENTS: the lines of a script, in a pseudo terminal; answers as JSON in $out
talk() {
    model=$1
    shift
    python3 tests/support/chat_turns.py "$program" "$model" "$temporary/script" "$@" >"$out" 2>"$err"
    status=$?
}

# answer N: what came after line N of the script, from 0
answer() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["answers"][int(sys.argv[2])])' "$out" "$1"; }
same() { [ "$(answer "$1")" = "$(cat "$temporary/answer")" ]; }

small() { talk "$any" --chat-template "$template" -n 12 --threads 1 --seed 5 "$@"; }

# ------------------------------------------------------------------------------------ questions without a terminal

pipes() {
    chat -q 'Once upon a time' </dev/null
    cp "$out" "$temporary/answer"
    check 'chat: a question, an answer, the end' eval 'exits 0 && silent && [ "$(wc -l <"$out")" -ge 1 ]'
    printf 'user:Once upon a time\nassistant:' | run "$any" -p - -t 0 -n 16 -q --threads 1
    check 'chat: it is what the rendered text goes on with' cmp -s "$out" "$temporary/answer"
    printf 'Once upon a time' >"$temporary/question"
    chat -q <"$temporary/question"
    check 'chat: a question from a pipe' cmp -s "$out" "$temporary/answer"
    chat -q 'Once upon' <"$temporary/question"
    cp "$out" "$temporary/joined"
    chat -q -p - <"$temporary/question"
    check 'chat -p -' cmp -s "$out" "$temporary/answer"
    chat -q 'Once upon a time' <&-
    check 'chat: with standard input closed' cmp -s "$out" "$temporary/answer"
    run chat /nonexistent.gguf -q </dev/null
    check 'chat: a model that is missing is told before the question' refused 1 '/nonexistent.gguf: cannot open: No such file'
    chat -q "$(printf 'Once upon\n\nOnce upon a time')" </dev/null
    check "chat: a pipe's text goes after the question" cmp -s "$out" "$temporary/joined"
    chat -q 'Hi' --save "$temporary/no folder/file" </dev/null
    check 'chat --save: no folder, which is said before the answer' eval 'exits 1 && [ ! -s "$out" ] && says "--save $temporary/no folder/file: "'
    if [ -c /dev/full ]; then
        chat -q 'Hi' --save /dev/full </dev/null
        check 'chat --save: a full device' eval 'exits 1 && says "mini-cllm: --save /dev/full: No space left on device"'
    fi
    chat -q 'Once upon' -a "$temporary/question" -a "$template" --save "$temporary/attached.json" </dev/null
    check 'chat --attach' eval 'exits 0 && grep -qF "Once upon\n\n$temporary/question:\nOnce upon a time\n\n$template:\n{% for" "$temporary/attached.json"'
    chat -q 'Hi' --system 'Be brief.' </dev/null
    cp "$out" "$temporary/answer"
    printf 'Be brief.' >"$temporary/system"
    chat -q 'Hi' --system "@$temporary/system" </dev/null
    check 'chat --system TEXT and @FILE' eval 'exits 0 && cmp -s "$out" "$temporary/answer"'
    # if a user spells a special token, it stays text: as the template's own token </s> it would be one token
    printf '%s\n' '</s>' '/stats' >"$temporary/script"
    talk "$any" --chat-template "$template" -n 1 --threads 1
    spelled=$(grep -o '[0-9]* in prompts' "$out")
    printf '%s\n' 'x' '/stats' >"$temporary/script"
    talk "$any" --chat-template "$template" -n 1 --threads 1
    check 'chat: a question never becomes a special token' eval '[ "${spelled%% *}" -ge $(($(grep -o "[0-9]* in prompts" "$out" | cut -d" " -f1) + 2)) ]'

    # a template that opens the reasoning; the small model never ends the reasoning by itself
    printf '%s' '{% for m in messages %}{{ m.role }}:{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{{ "<think></think>" if enable_thinking is false else "<think>" }}{% endif %}' >"$temporary/think.jinja"
    thinks="$any --chat-template $temporary/think.jinja -t 0 -n 12 --threads 1"
    # shellcheck disable=SC2086
    {
        run chat $thinks Hi </dev/null
        check 'chat: reasoning is hidden where there is no terminal, and a note says so' eval 'is_text "\n" && says "said nothing but its reasoning"'
        run chat $thinks --reasoning show Hi </dev/null
        check 'chat --reasoning show' eval '[ "$(wc -c <"$out")" -gt 9 ] && one_line && says "after 12 tokens (--n-tokens)"'
        run chat $thinks --reasoning off Hi </dev/null
        check "chat --reasoning off: by the template's variable" eval '[ "$(wc -c <"$out")" -gt 9 ] && one_line'
        run chat $thinks --reasoning 4 Hi </dev/null
        check 'chat --reasoning N: then the answer begins' eval '[ "$(wc -c <"$out")" -gt 9 ] && one_line'
        run chat $thinks -q --reasoning show Hi </dev/null
        reasoned=$(head -n 1 "$out" | cut -c 1-8)
        python3 tests/support/screen.py "$program" chat $thinks --reasoning 4 Hi </dev/null >"$out" 2>"$err"
        check 'chat --reasoning N: on a terminal its text stays' eval '[ -n "$reasoned" ] && head -n 1 "$out" | grep -qF -- "$reasoned"'
        python3 tests/support/screen.py "$program" chat $thinks --reasoning hide Hi </dev/null >"$out" 2>"$err"
        check 'chat --reasoning hide: a terminal shows that the model thinks, until it ends' eval 'grep -q "^it showed" "$out" && ! grep -q thinking "$out"'
        run chat $thinks -q --reasoning 2 --regex '[0-9]{2}' Hi </dev/null
        check 'chat --regex: an answer of that form, after the reasoning' eval 'silent && grep -qxE "[0-9]{2}" "$out"'
        run chat $thinks -q --reasoning 2 --regex '[0-9]{50}' Hi </dev/null
        check 'chat --regex: how many tokens an unfinished answer has, with those that end its reasoning' eval 'exits 1 && says "the text is not finished: after 12 tokens"'
        run chat $thinks -q --reasoning show --regex '[0-9]{2}' Hi </dev/null
        check 'chat --regex: the reasoning is free' eval '[ "$(wc -c <"$out")" -gt 9 ] && ! grep -q "[0-9]" "$out"'
    }

    while IFS='|' read -r want message arguments; do
        eval "run chat '$any' $arguments" </dev/null
        check "chat refused: $arguments" refused "$want" "$message"
    done <<END
2|--image: x.png: images are not supported yet|--image x.png Hi
2|--reasoning: 'loud' is not show, hide, off or a number|--reasoning loud Hi
2|--chat-template-kwargs: '1' is not a JSON object|--chat-template-kwargs 1 Hi
2|--context: 'grow' is not one of: stop|--context grow Hi
1|$temporary/none: No such file or directory|-a '$temporary/none' Hi
1|there is no question: standard input is empty|--chat-template '$template'
2|unexpected argument 'b' after the prompt 'a'|a b
1|there is no chat template 'nothing', neither in the file nor among chatml|--chat-template nothing Hi
END
    printf ' \n' | chat -q
    check 'chat: a question of white space' refused 1 'there is no question: standard input is empty'
    : >"$temporary/nothing"
    chat -q -p Hi --chat-template "$temporary/nothing" </dev/null
    check 'chat: a template that prints nothing' refused 1 'the chat template prints nothing'
    printf 'a\0b' >"$temporary/binary"
    chat Hi --system "@$temporary/binary" </dev/null
    check 'chat: a system message that is no text' refused 1 "$temporary/binary: this is not text"
    chat Hi -a "$temporary/binary" </dev/null
    check 'chat: an attached file that is no text' refused 1 "$temporary/binary: this is not text"
    chat Hi -a /dev/zero </dev/null
    check 'chat: one without end' refused 1 '/dev/zero: only texts of less than 256.0 MiB are read'
    chat -n 4 --ctx 32 'one two three four five six seven eight nine ten one two three four five six seven eight nine ten' </dev/null
    check 'chat: a question that the context does not hold' refused 1 'context: the conversation needs more than '
    run chat "$any" --chat-template "$template" -t 0 --ctx 40 -n -1 --threads 1 -q 'Hi' </dev/null
    check 'chat: an answer that fills the context' eval 'exits 0 && says "context: all 40 tokens are in use"'
    seq 20000 >"$temporary/long"
    start chat "$any" --chat-template "$template" --ctx 200000 -n 1 --threads 1 -v -a "$temporary/long" 'Hi' </dev/null
    await says 'ready after'
    kill -INT "$process"
    finished
    check 'chat: Ctrl-C ends it where there is no terminal' eval 'exits 130 && [ ! -s "$out" ]'
}

# ------------------------------------------------------------------------------------------- several questions


commands() {
    command -v python3 >/dev/null || { skip 'chat: commands' 'python3 is missing'; return; }
    printf '%s\n' 'A cat sat' '/tokens' '/stats' '/save '"$temporary/saved.json" '/save '"$temporary/saved.md" '/retry' '/undo' '/undo' \
        '/load '"$temporary/saved.json" '/set temperature 0' '/set seed 7' '/set top-k x' '/set' '/system' '/system Be brief' '/system' \
        '/bogus' '/save /nonexistent/x' '/load '"$template" '/help' '/reset' '/tokens' '/system' '/undo' '/tokens' '/system ""' '/system' >"$temporary/script"
    small
    check 'chat: commands' eval '[ "$status" = 0 ] && answer 1 | grep -q "tokens of" && answer 2 | grep -q "seed 5$"'
    check 'chat: an answer that is cut names what the chat calls the option' eval 'answer 0 | grep -qF "after 12 tokens (/set n-tokens)"'
    check 'chat: saved as JSON' eval 'python3 -m json.tool "$temporary/saved.json" | grep -q "\"content\": \"A cat sat\""'
    check 'chat: saved as Markdown' eval 'grep -q "^## User" "$temporary/saved.md" && grep -q "^A cat sat" "$temporary/saved.md"'
    check 'chat: another try is another answer' eval '[ "$(answer 0)" != "$(answer 5)" ]'
    check 'chat /undo: there is nothing left' eval 'answer 7 | grep -q "there is no question yet"'
    check 'chat /set' eval 'answer 11 | grep -q "top-k: .x. is not a whole number" && answer 12 | grep -q "temperature 0, top-k 40, top-p 0.9, min-p 0, seed 7"'
    check 'chat /system' eval 'answer 13 | grep -q "there is no system message" && [ "$(answer 15)" = "Be brief" ] &&
        answer 26 | grep -q "there is no system message"'
    check 'chat: errors leave the conversation as it is' eval 'answer 16 | grep -q "not a command" &&
        answer 17 | grep -q "/nonexistent/x" && answer 18 | grep -q "line 1"'

    printf '%s\n' 'A cat sat' '/clear' '/undo' '/?' '/help' '/show info' >"$temporary/script"
    small
    check "chat: ollama's names of commands" eval 'answer 1 | grep -q "the conversation is empty now" && answer 2 | grep -q "no question yet" &&
        [ "$(answer 3)" = "$(answer 4)" ] && answer 5 | grep -q "./show. is not a command; /system, /set, /stats and /tokens show"'

    echo '/set' >"$temporary/script"
    talk "$any" --chat-template "$template" --override general.sampling.temp=float:0.5 --override general.sampling.top_k=int:7 --top-k 9
    check "chat: the file's own settings, unless an option says otherwise" eval 'answer 0 | grep -q "temperature 0.5, top-k 9, top-p 0.9" &&
        ! grep -q "has no effect" "$out"'
    talk "$any" --chat-template "$template" --override general.sampling.min_p=float:0.25 --override general.sampling.top_p=float:7
    check 'chat: a setting that is out of range is left out' eval 'answer 0 | grep -q "top-p 0.9, min-p 0.25"'
    talk "$any" --chat-template "$template"
    answer 0 >"$temporary/answer"
    talk "$any" --chat-template "$template"
    check 'chat: a fresh seed each time' eval '! same 0'

    printf 'It rains.' >"$temporary/note.txt"
    printf '%s\n' '/undo all' '/save' '/set top-p 0' '/set colour red' "/read $temporary/note.txt" '/read' '/read ""' '/read' \
        "/read $temporary/note.txt" 'What?' '/read' ' /etc is a folder' "/save $temporary/slash.json" >"$temporary/script"
    small
    check 'chat: arguments that are missing, or too many' eval 'answer 0 | grep -q "/undo takes no argument" &&
        answer 1 | grep -q "/save FILE" && answer 2 | grep -q "top-p: .0. is not a number in (0, 1]" && answer 3 | grep -q "/set: .colour. is not one of: temperature, top-k"'
    check 'chat /read: what goes with the next question' eval 'answer 5 | grep -q "note.txt, 9 bytes, will be added" && answer 7 | grep -q "no text will be added" &&
        answer 10 | grep -q "no text will be added" && grep -q "What?.n.n.*note.txt:.nIt rains" "$temporary/slash.json"'
    check 'chat: a space before a slash' grep -q '" /etc is a folder"' "$temporary/slash.json"

    # a question that was taken back leaves no trace, at any temperature
    printf '%s\n' 'A cat sat' 'The dog' 'And then' >"$temporary/script"
    small
    answer 2 >"$temporary/answer"
    printf '%s\n' 'A cat sat' 'The bird' 'No' '/undo' '/retry' '/undo' 'The dog' 'And then' >"$temporary/script"
    small
    check 'chat /undo: the same as without it' same 7
    printf '%s\n' 'A cat sat' 'The bird' '/edit The dog' 'And now' '/edit And then' >"$temporary/script"
    small
    check 'chat /edit: the same as a fresh conversation' same 4
    printf '%s\n' 'A cat' '/edit\r sat' "/save $temporary/edit.json" '/undo' '/undo' >"$temporary/script"
    small
    if LC_ALL=C grep -q libedit "$program"; then
        check 'chat /edit: the last question stands in the line' eval 'grep -q "\"content\": \"A cat sat\"" "$temporary/edit.json" &&
            [ "$(grep -c "\"user\"" "$temporary/edit.json")" = 1 ]'
    else
        skip 'chat /edit: the last question stands in the line' 'built without libedit'
    fi
    printf '%s\n' '"""A cat' 'sat"""' '/save '"$temporary/block.json" >"$temporary/script"
    small
    check 'chat: a text of several lines' grep -q '"A cat\\nsat"' "$temporary/block.json"
    # commands that count, are refused, or take back a question change no answer
    long=$(seq 60 | tr '\n' ' ')
    printf '%s\n' 'A cat sat' >"$temporary/script"
    small
    answer 0 >"$temporary/answer"
    printf '%s\n' '/tokens' 'A cat sat' '/retry' "/edit $long" '/retry' 'The dog' '/undo' '/retry' >"$temporary/script"
    small --ctx 64
    check 'chat: a question after /tokens' same 1
    check 'chat /retry: another answer each time' eval '[ "$(answer 2)" != "$(answer 4)" ] && [ "$(answer 4)" != "$(answer 7)" ] &&
        [ "$(answer 2)" != "$(answer 7)" ]'
    printf '%s' '{"messages": [{"role": "assistant", "content": "Good morning!"}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"}]}' >"$temporary/greeting.json"
    printf '%s\n' "/load $temporary/greeting.json" 'A cat' "/save $temporary/greeted.json" >"$temporary/script"
    small
    check 'chat: what comes before the first question stays' grep -q 'Good morning!' "$temporary/greeted.json"
    # a template that opens the reasoning, and an answer after the reasoning: the mark that ends the reasoning is never
    # content
    printf '%s\n' 'One' 'Two' 'Three' 'Four' 'Five' 'Six' 'Seven' 'Eight' "/save $temporary/reasoned.json" >"$temporary/script"
    talk "$any" --chat-template "$temporary/think.jinja" -n 12 --threads 1 --seed 5 -t 9 --reasoning 3
    check 'chat --reasoning N: its end is no content' eval 'grep -q "reasoning_content" "$temporary/reasoned.json" && ! grep -q "/think" "$temporary/reasoned.json"'
    printf '%s\n' '"""' 'def f():' '    """It is f."""' '    say """hi""" to me' '"""' '/system """Be' 'brief"""' '/system' "/save $temporary/block.json" \
        >"$temporary/script"
    small
    check 'chat: marks within such a text stay' grep -qF 'f():\n    \"\"\"It is f.\"\"\"\n    say \"\"\"hi\"\"\" to me"' "$temporary/block.json"
    check 'chat: a command takes such a text' eval 'answer 7 | tr "\n" "+" | grep -q "^Be+brief"'
    cp "$temporary/block.json" "$temporary/with space.json"
    printf '%s\n' '/load "~/with space.json"' '/load ~/with space.json' '/load '"$template" '/load /nonexistent/x' >"$temporary/script"
    HOME=$temporary small
    check 'chat: names of files as a person types them' eval 'answer 0 | grep -q "has 1 question" && answer 1 | grep -q "has 1 question"'
    check 'chat /load: what is no JSON' eval 'answer 2 | grep -q "only the JSON that /save writes" && answer 3 | grep -q "/nonexistent/x"'
    chat -q --load "$temporary/block.json" --save "$temporary/longer.json" 'And now?' </dev/null
    check 'chat --load and --save' eval 'exits 0 && silent && [ "$(grep -c "\"user\"" "$temporary/longer.json")" = 2 ] && grep -q "It is f" "$temporary/longer.json"'
    chat -q --save /nonexistent/x 'And now?' </dev/null
    check 'chat --save: nowhere' eval 'exits 1 && says "--save /nonexistent/x: /nonexistent: No such file"'
    printf '%s\n' 'A cat sat on the mat' 'The dog saw it' 'And the bird' 'And the fish' 'And the cow' '/save '"$temporary/shifted.json" >"$temporary/script"
    small --ctx 64 --context shift
    check 'chat --context shift: the oldest turns go' eval 'grep -q "context: full; the oldest turn is dropped: ..A cat sat on the mat" "$out" &&
        grep -q "And the cow" "$temporary/shifted.json" && grep -q "A cat sat" "$temporary/shifted.json"'
    small --ctx 64 --context shift
    printf '%s\n' 'A cat' 'The dog' "$long" '/save '"$temporary/kept.json" '/edit '"$long" '/save '"$temporary/edited.json" '/tokens' '/undo' '/undo' '/tokens' >"$temporary/script"
    small --ctx 64 --context shift
    check 'chat: a question that never fits takes nothing away' eval 'answer 2 | grep -q "the conversation needs more than" &&
        grep -q "A cat" "$temporary/kept.json" && cmp -s "$temporary/kept.json" "$temporary/edited.json"'
    check 'chat /tokens: also after /undo' eval '[ "$(answer 6 | cut -d" " -f1)" -gt 5 ] && [ "$(answer 9 | cut -d" " -f1)" -le 1 ]'
    printf '%s\n' 'A cat sat on the mat' 'The dog saw it' 'And the bird' 'And the fish' 'And the cow' >"$temporary/script"
    printf '%s' '{"enum": ["yes", "no"]}' >"$temporary/yes.json"
    printf '%s\n' 'root ::= "It is " [0-9] [0-9]' >"$temporary/digits.gbnf"
    printf '%s\n' '/format' "/format $temporary/yes.json" 'Which?' "/format $temporary/digits.gbnf" 'Which?' '/format' "/format $temporary/none" \
        "/format $template" 'Which?' '/format ""' >"$temporary/script"
    small
    check 'chat /format: a schema, a grammar, or none' eval 'answer 0 | grep -q "any form" && answer 2 | grep -qE "^.(yes|no).$" &&
        answer 4 | grep -qE "^It is [0-9][0-9]" && answer 5 | grep -q "follow .*digits.gbnf" && answer 9 | grep -q "any form"'
    check 'chat /format: what cannot be read changes nothing' eval 'answer 6 | grep -q "none: No such file" && answer 7 | grep -q "JSON, line 1" &&
        answer 8 | grep -qE "^It is [0-9][0-9]"'
    printf '%s\n' 'A cat sat on the mat' 'The dog saw it' 'And the bird' 'And the fish' 'And the cow' >"$temporary/script"
    small --ctx 64
    check 'chat: a full context is told, and what helps' grep -q '/undo or /reset makes room' "$out"
}

# A line for each of 20 questions: tokens in the conversation, tokens evaluated, tokens of prompts, tokens generated,
# all tokens.
count_turns() {
    python3 - "$out" <<'END'
import json, re, sys
answers = json.load(open(sys.argv[1]))["answers"]
for i in range(0, len(answers), 3):
    evaluated, prompts, generated = re.search(r"evaluated (\d+): (\d+) in prompts[^,]*, .* generated (\d+)", answers[i + 1]).groups()
    print(re.search(r"(\d+) tokens of", answers[i + 2])[1], evaluated, prompts, generated)
END
}

turns() {
    command -v python3 >/dev/null || { skip 'chat: 20 turns' 'python3 is missing'; return; }
    for i in $(seq 20); do printf 'Tell me about number %d.\n/stats\n/tokens\n' "$i"; done >"$temporary/script"
    talk "$1" -t 0 -n 10 --ctx 2000 $2
    count_turns >"$temporary/turns"
    # every token is evaluated once; if an answer was cut, its last token is not evaluated yet
    check "chat: 20 turns evaluate what is new$3" awk '$2 != $1 && $2 != $1 - 1 { bad = 1 } END { exit bad || NR != 20 }' "$temporary/turns"
    # the template leaves out the beginning of an answer: the answer is evaluated again, but nothing before it
    printf '%s' '{% for m in messages %}{{ m.role }}:{{ m.content[3:] if m.role == "assistant" else m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}' >"$temporary/drops.jinja"
    talk "$1" -t 0 -n 10 --ctx 2000 --chat-template "$temporary/drops.jinja"
    count_turns >"$temporary/turns"
    check "chat: an answer that the template changes is evaluated again, and nothing before it$3" awk '
        { prompt = $1 - ($4 - generated); if (NR > 1 && $3 - prompts != prompt - before) bad = 1
          before = prompt; prompts = $3; generated = $4 } END { exit bad || NR != 20 }' "$temporary/turns"
}
small_turns() { turns "$any" "--chat-template $template" ''; }
published_turns() {
    turns "$published" '' ', of a published model'
    run chat "$published" -q -t 0 --cpu-isa scalar 'What is the capital of France?' </dev/null
    check 'chat: a published model knows Paris, and ends its turn' is_text 'The capital of France is Paris.\n'
}

recurrent=$shared/families2/qwen35.gguf

# Recurrent layers can only go back to a saved state. If the template changes the answer, this is the state before the
# last question.
state_turns() {
    command -v python3 >/dev/null || { skip 'chat: turns of recurrent layers' 'python3 is missing'; return; }
    for i in $(seq 8); do printf 'Tell me about number %d.\n/stats\n/tokens\n' "$i"; done >"$temporary/script"
    printf '%s' '{% for m in messages %}{{ m.role }}:{{ m.content[3:] if m.role == "assistant" else m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}' >"$temporary/drops.jinja"
    talk "$recurrent" -t 0 -n 80 --ctx 2000 --chat-template "$temporary/drops.jinja"
    count_turns >"$temporary/turns"
    check 'chat: recurrent layers read the last question again where the template changes its answer, and not much before it' awk '
        { if (NR > 2 && $2 - evaluated > 3 * ($1 - tokens)) bad = 1
          evaluated = $2; tokens = $1 } END { exit bad || NR != 8 }' "$temporary/turns"
}

# ---------------------------------------------------------------------------------------------- a real terminal

terminal() { tmux -L "cllm$$" -f /dev/null "$@"; }
screen() { terminal capture-pane -p | sed '/^$/d' >"$out"; }
shows() { screen && prints "$1"; }
# answers LINE: is there an answer after this line?
answers() { screen && [ "$(tail -n 1 "$out")" != "$1" ] && ! tail -n 1 "$out" | grep -q reading; }
last_line() { screen && [ "$(tail -n 1 "$out")" = "$1" ]; }
type_keys() { terminal send-keys "$@"; }
times_told() { terminal capture-pane -p -S - | grep -c 'again to end'; } # of all that has been on the screen

terminals() {
    command -v tmux >/dev/null || { skip 'chat: a terminal' 'tmux is missing'; return; }
    LC_ALL=C grep -q libedit "$program" || { skip 'chat: a terminal' 'built without libedit'; return; }
    who="$any --chat-template $template --ctx 30000"
    if [ -e "$published" ]; then who=$published; fi # it has more to say
    terminal new-session -d -x 60 -y 20 "$program chat $who -t 0 2>&1; echo ended \$?; sleep 600"
    await last_line '>'
    type_keys 'Äpfel 日本語 xy' Left Left BSpace
    await shows '> Äpfel 日本語xy'
    check 'terminal: characters of two columns are edited' shows '> Äpfel 日本語xy'
    terminal resize-window -x 12 -y 15
    sleep 1 # tmux moves the characters at once, and then the program draws them anew
    terminal resize-window -x 70 -y 20
    sleep 1
    await last_line '> Äpfel 日本語xy'
    check 'terminal: a window that is resized' eval 'screen && [ "$(tail -n 1 "$out")" = "> Äpfel 日本語xy" ]'
    type_keys C-c
    await shows 'press Ctrl-C again to end'
    check 'terminal: Ctrl-C at the prompt takes the line away' shows 'press Ctrl-C again to end'
    type_keys 'second line'
    await last_line '> second line'
    type_keys C-c
    await [ "$(times_told)" = 2 ]
    check 'terminal: and the second line, too' eval '[ "$(times_told)" = 2 ] && last_line ">"'
    # an answer, stopped
    type_keys 'What is the capital of France?'
    await last_line '> What is the capital of France?'
    type_keys Enter
    await answers '> What is the capital of France?'
    sleep 0.3
    type_keys C-c
    await last_line '>'
    type_keys "/save $temporary/stopped.json" Enter
    await [ -s "$temporary/stopped.json" ]
    check 'terminal: Ctrl-C stops an answer, and what was said is kept' eval 'grep -q "capital of France" "$temporary/stopped.json" &&
        grep -q "\"assistant\"" "$temporary/stopped.json"'
    # history
    type_keys Up Up Enter
    sleep 0.5
    type_keys C-c
    type_keys '/und' Tab Enter '/und' Tab Enter '/und' Tab Enter
    await shows 'there is no question yet'
    check 'terminal: a tab completes commands; history brings questions back' shows 'there is no question yet'
    # 10,000 characters at once, with newlines
    i=0
    while [ $i -lt 1000 ]; do printf 'word %04d\n' $i; i=$((i + 1)); done >"$temporary/paste"
    terminal load-buffer "$temporary/paste" && terminal paste-buffer -p
    await shows 'word 0999'
    type_keys Enter
    sleep 0.5
    type_keys C-c # while the prompt is read, or soon after
    sleep 1
    type_keys "/save $temporary/pasted.json" Enter '/stats' Enter
    await shows 'questions '
    check 'terminal: a paste of 10,000 characters is one question, and Ctrl-C stops its reading' eval 'shows "questions " &&
        { shows "questions 0" || grep -q "word 0000.nword 0001" "$temporary/pasted.json"; }'
    n_told=$(times_told)
    type_keys C-c
    await eval '[ "$(times_told)" -gt "$n_told" ]'
    type_keys C-c
    await shows 'ended 130'
    check 'terminal: Ctrl-C twice ends' shows 'ended 130'
    terminal kill-server
}

for name in pipes commands small_turns terminals; do group $name "$any"; done
group published_turns "$published"
group state_turns "$recurrent"
finish
