#!/bin/sh
# How the program ends if it is stopped before its work is done: tests/cli_endings.sh BUILD, from the top of the
# repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL

. tests/support/program.sh

mkfifo "$temporary/pipe" "$temporary/started"

# -------------------------------------------------------------------------------- Ctrl-C and kill, 130 and 143

# Send the signal and wait for the end: end_by SIGNAL
end_by() {
    kill -"$1" "$process"
    finished
}

# is_stopped SIGNAL STATUS, of generation, evaluation and tokenizing
is_stopped() {
    want=$2
    start "$any" -n 20000 --ignore-eos --ctx 30000
    await [ -s "$out" ]
    end_by "$1"
    check "$1: exit $want, with what was made, a newline and the summary" eval 'exits "$want" &&
        [ "$(wc -c <"$out")" -gt 1 ] && [ -z "$(tail -c 1 "$out")" ] && says " | generated "'

    seq 4000 >"$temporary/long"
    start "$any" -f "$temporary/long" -n 1 --ctx 30000 -v
    await says 'ready after'
    end_by "$1"
    check "$1 within the prompt: exit $want, and it is said" eval 'exits "$want" && says "interrupted within the prompt" && [ ! -s "$out" ]'

    for from in '-p -' "-f $temporary/pipe"; do
        exec 3<>"$temporary/pipe"
        # shellcheck disable=SC2086 # words
        hears_interrupts "$program" "$any" $from <"$temporary/pipe" >"$out" 2>"$err" &
        process=$!
        sleep 0.5
        end_by "$1"
        exec 3>&-
        check "$1 while the prompt is awaited: exit $want ($from)" eval 'exits "$want" && silent'
    done
    for file in "$any -f" "eval $any --tokens 1 --logits"; do
        # shellcheck disable=SC2086 # words
        start $file "$temporary/pipe"
        sleep 1
        end_by "$1"
        check "$1 while nobody opens the other end of a pipe: exit $want ($file)" eval 'exits "$want" && ! says mini-cllm:'
    done

    seq 40000 >"$temporary/numbers"
    exec 3<>"$temporary/pipe"
    hears_interrupts "$program" tokenize "$any" <"$temporary/numbers" >"$temporary/pipe" 2>"$err" &
    process=$!
    sleep 1
    end_by "$1"
    exec 3>&-
    : >"$out"
    check "$1 while a pipe is full: exit $want" eval 'exits "$want" && silent'

    start eval "$any" --tokens "$(seq -s , 1000 | sed 's/.*/&,&,&,&,&,&,&,&,&,&/')" --ctx 30000 --logits "$temporary/logits"
    await [ -s "$temporary/logits" ]
    end_by "$1"
    check "$1: eval --tokens leaves no half a file" eval 'exits "$want" && [ ! -s "$out" ] && [ ! -e "$temporary/logits" ]'
    cat docs/*.md >"$temporary/text"
    start eval "$any" --text "$temporary/text" --ctx 64 --threads 1 -v
    await says 'ready after'
    sleep 1
    end_by "$1"
    check "$1: eval --text tells the perplexity of the chunks so far" eval 'exits "$want" && says "interrupted: this is the perplexity of the first chunks" &&
        grep -qE "^perplexity: [0-9.]+ \+/- [0-9.]+ \([0-9]+ of [0-9]+ chunks of 64 tokens\)$" "$out"'
    start eval "$any" --text "$temporary/text" --ctx 30000 -v
    await says 'ready after'
    end_by "$1"
    check "$1: eval --text tells no perplexity of less than a chunk" eval 'exits "$want" && ! says "perplexity" && [ ! -s "$out" ]'
}

# is_stopped_measuring SIGNAL STATUS
is_stopped_measuring() {
    want=$2
    for form in --json --csv; do
        start bench "$any" -p 1,2 -n 0 -r 1 --threads 1 $form --compare 'case {prompt} in 1) ;; *)
            echo $$ >'"'$temporary/started'"'; sleep 30; echo late >'"'$temporary/late'"' ;; esac; echo "pp1 5"'
        read -r other <"$temporary/started"
        end_by "$1"
        check "bench: $1 ends the other command, and prints whole results ($form)" eval 'exits "$want" &&
            one_line && says "interrupted: these are the results so far" && prints prompt_ratio && [ "$(grep -c "/\?$(basename "$any")" "$out")" -gt 0 ] && ! kill -0 "$other"'
    done
    start bench "$any" -p 8 -n 4 -r 1 --threads 1 --compare 'case {gen} in 0) echo "pp8 5" ;; *)
        echo $$ >'"'$temporary/started'"'; sleep 30; echo "tg4 5" ;; esac'
    read -r other <"$temporary/started"
    end_by "$1"
    check "bench: $1 while it decodes prints the speed of the prompt" eval 'exits "$want" && says "results so far" && prints " pp8 " && ! prints " tg4 " && ! kill -0 "$other"'
    start bench "$any" -p 20000 -n 0 -r 100 --threads 1
    sleep 1
    end_by "$1"
    check "bench: $1 before the first result prints nothing" eval 'exits "$want" && [ ! -s "$out" ]'
}

signals() {
    is_stopped INT 130
    is_stopped TERM 143
    is_stopped_measuring INT 130
    is_stopped_measuring TERM 143

    # Everything that was printed is in the saved file, whenever the signal came.
    text="-t 0 --ignore-eos --ctx 6100 -p x"
    # shellcheck disable=SC2086 # words
    run "$any" $text -n 6000 -q && cp "$out" "$temporary/whole"
    spoilt=0
    for nap in 0.02 0.04 0.06 0.1 0.15; do
        for _ in 1 2 3 4 5; do # until the signal comes before the end
            # shellcheck disable=SC2086 # words
            start "$any" $text -n 6000 --save "$temporary/stopped.seq"
            await [ -s "$out" ]
            sleep $nap
            end_by INT
            ! exits 130 || break
        done
        exits 130 && perl -pe 'chomp if eof' "$out" >"$temporary/both"
        run "$any" -t 0 --ignore-eos --ctx 6100 -q -n 20 --load "$temporary/stopped.seq"
        perl -pe 'chomp if eof' "$out" >>"$temporary/both"
        head -c "$(wc -c <"$temporary/both")" "$temporary/whole" | cmp -s - "$temporary/both" || spoilt=$((spoilt + 1))
    done
    check 'a text that is interrupted is saved to its last token' [ "$spoilt" = 0 ]

    # also if the text could not be printed because nobody reads the pipe
    exec 3<>"$temporary/pipe"
    rm -f "$temporary/stopped.seq"
    # shellcheck disable=SC2086 # words
    hears_interrupts "$program" "$any" --ignore-eos --ctx 30000 -n 60000 --save "$temporary/stopped.seq" >"$temporary/pipe" 2>"$err" &
    process=$!
    sleep 10 # the pipe holds 64 KiB
    end_by INT
    exec 3>&-
    : >"$out"
    check 'a text that is interrupted while a pipe is full is saved' eval 'exits 130 && [ -s "$temporary/stopped.seq" ]'

    survivors=0 # the system picks a thread for each signal, so more than one try
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        start "$any" -n 20000 --ignore-eos --ctx 30000 --threads 4
        await [ -s "$out" ]
        kill -STOP "$process"
        kill -INT "$process" && kill -TERM "$process"
        kill -CONT "$process"
        finished
        [ "$status" -ge 128 ] && ! says generated || survivors=$((survivors + 1))
    done
    check 'a second signal, of the other kind too, ends the program at once' [ $survivors -eq 0 ]
}

# A signal that the parent process ignores stays ignored: background jobs of a script, nohup, trap.
ignored() {
    n_long=3000
    [ -z "${SANITIZE:-}" ] || n_long=500
    long="-q -n $n_long -t 0 --ignore-eos --ctx 4000"
    # shellcheck disable=SC2086 # words
    run "$any" $long
    cp "$out" "$temporary/whole"
    for how in 'a job of a script' "trap '' INT"; do
        : >"$out"
        # shellcheck disable=SC2086 # words
        case $how in
        trap*) (trap '' INT && exec "$program" "$any" $long >"$out" 2>"$err") & ;;
        *) "$program" "$any" $long >"$out" 2>"$err" & ;;
        esac
        process=$!
        await [ -s "$out" ]
        kill -INT $process
        finished
        check "an ignored SIGINT stays ignored, and the text is whole ($how)" eval 'exits 0 && silent && cmp "$out" "$temporary/whole"'
    done
    : >"$out"
    "$program" "$any" -n 20000 --ignore-eos --ctx 30000 >"$out" 2>"$err" &
    process=$!
    await [ -s "$out" ]
    kill -INT $process
    end_by TERM
    check 'where SIGINT is ignored SIGTERM ends the program' eval 'exits 143 && says " | generated "'

    seq 4000 >"$temporary/long"
    "$program" "$any" -f "$temporary/long" -n 1 --ctx 30000 --cpu-isa scalar --threads 1 -v >"$out" 2>"$err" &
    process=$!
    await says 'ready after'
    kill -TERM $process
    for _ in $(seq 1000); do kill -INT $process; done 2>"$temporary/kill" # it may have ended already
    finished
    check 'and SIGINT stays ignored until it has ended' eval 'exits 143 && says "interrupted within the prompt"'
    : >"$out"
    # shellcheck disable=SC2086 # words
    (trap '' TERM && exec "$program" "$any" $long >"$out" 2>"$err") &
    process=$!
    await [ -s "$out" ]
    end_by TERM
    check 'an ignored SIGTERM stays ignored' eval 'exits 0 && silent && cmp "$out" "$temporary/whole"'
}

# ------------------------------------------------------------------------------------- files, pipes and disks

# shrink_in_use FILE ARGUMENTS: empties FILE while the program runs with ARGUMENTS and generates.
shrink_in_use() {
    shrinking=$1
    shift
    start "$@" -q -n 20000 --ignore-eos --ctx 30000
    await [ -s "$out" ]
    : >"$shrinking"
    finished
}

files() {
    cp "$any" "$temporary/shrinks.gguf"
    chmod u+w "$temporary/shrinks.gguf"
    shrink_in_use "$temporary/shrinks.gguf" "$temporary/shrinks.gguf"
    check 'a model that shrinks in use is named, exit 1' eval 'exits 1 && one_line && says "shrinks.gguf: the file shrank"'

    for before in ':' "trap '' PIPE"; do # a parent may have left the signal ignored
        (
            eval "$before"
            "$program" "$any" -q -n 20000 --ignore-eos --ctx 30000 2>"$err"
            echo $? >"$temporary/status"
        ) | head -c 5 >"$out"
        status=$(cat "$temporary/status")
        check "a closed pipe ends the program at once, silently ($before)" eval 'exits 141 && silent && [ "$(wc -c <"$out")" -eq 5 ]'
    done

    if [ -c /dev/full ]; then
        for arguments in "$any -n 5" '--help' "inspect $any --json" "tokenize $any -p x" \
            "detokenize $any 403" "eval $any --tokens 1" "eval $any --tokens 1 --logits /dev/full"; do
            case $arguments in */dev/full) to=$out ;; *) to=/dev/full ;; esac
            # shellcheck disable=SC2086 # words
            "$program" $arguments >"$to" 2>"$err" && status=0 || status=$?
            check "a full disk: ${arguments#"$any"}" eval 'exits 1 && one_line && says "No space left"'
        done
    else
        skip 'full disks' 'there is no /dev/full'
    fi
}

adapter() {
    if ! command -v python3 >/dev/null; then
        skip adapter 'python3 is missing'
        return
    fi
    python3 tests/support/make_lora.py "$stories" "$temporary/lora.gguf"
    shrink_in_use "$temporary/lora.gguf" "$stories" --lora "$temporary/lora.gguf:0.1"
    check 'an adapter that shrinks in use is named, exit 1' eval 'exits 1 && one_line && says "lora.gguf: the file shrank"'
}

for name in signals ignored files; do group $name "$any"; done
group adapter "$stories"
finish
