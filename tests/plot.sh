#!/bin/sh
# tools/plot/plot and bench/run.sh: plot.sh BUILD, from the top of the repository. Prints TAP.
set -u
LC_ALL=C
export LC_ALL
temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
out=$temporary/out err=$temporary/err
n=0 failures=0 status=0

check() { # check NAME CONDITION...
    n=$((n + 1)) name=$1
    shift
    if "$@" >"$temporary/check" 2>&1; then echo "ok $n - $name"; else
        failures=$((failures + 1))
        echo "not ok $n - $name"
        echo "# status $status"
        head -c 2000 "$out" "$err" "$temporary/check" | sed 's/^/# /'
    fi
}
plot() { # plot CSV-FILE ARGUMENTS
    file=$1
    shift
    tools/plot/plot "$@" <"$file" >"$out" 2>"$err"
    status=$?
}
lines() { grep -o '<polyline points="[^"]*"' "$out" | cut -d '"' -f 2; } # the points of each line of the figure
says() { [ "$status" -ne 0 ] && [ "$(wc -l <"$err")" -eq 1 ] && grep -qF -- "$1" "$err"; }

cat >"$temporary/csv" <<'END'
# mini-cllm bench
# CPU: none

model,file,threads,batch,prompt,depth,gen,prompt_tok_s,prompt_tok_s_spread,decode_tok_s,gb_s
"a,""b""<&>.gguf",x,1,512,512,0,128,400,10,40,1.5
"a,""b""<&>.gguf",x,1,512,512,1024,128,300,10,20,1.5
"a,""b""<&>.gguf",x,2,512,512,1024,128,600,20,60,3
"a,""b""<&>.gguf",x,2,512,512,0,128,800,20,80,3
c.gguf,x,1,512,512,0,128,,,10,0.5
END
plot "$temporary/csv" depth prompt_tok_s 'R&D <1>'
check 'a line for each number of threads; a row without the figure is left out' eval '[ $status = 0 ] && [ ! -s "$err" ] && [ "$(lines | wc -l)" -eq 2 ]'
# the axis runs to 1000: 300 pixels from 344 up
check 'the points are where the figures say, in the order of x' [ "$(lines | tr '\n' '/')" = '70.0,224.0 690.0,254.0/70.0,104.0 690.0,164.0/' ]
check 'the legend tells what differs' eval 'grep -q ">1 thread<" "$out" && grep -q ">2 threads<" "$out"'
check 'the title is escaped' grep -q 'R&amp;D &lt;1&gt;' "$out"
check 'bars of the spread' grep -q '<line x1="70.0" y1="227.0" x2="70.0" y2="221.0" stroke=' "$out"
plot "$temporary/csv" depth decode_tok_s
check 'models are lines of their own' eval '[ "$(lines | wc -l)" -eq 3 ] && grep -qF ">a,&quot;b&quot;&lt;&amp;&gt;.gguf, 1 thread<" "$out"'
if command -v python3 >/dev/null; then
    check 'the figure is XML' python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$out"
else
    n=$((n + 1)) && echo "ok $n - the figure is XML # SKIP python3 is missing"
fi
plot "$temporary/csv" threads gb_s
check 'another x axis; settings that the figure does not depend on are no lines' eval '[ "$(lines | wc -l)" -eq 3 ] && grep -q ">threads<" "$out"'

awk 'BEGIN { print "model,batch,prompt,depth,prompt_tok_s,prompt_theirs_tok_s"; for (b = 1; b <= 256; b *= 4) print "m," b ",512,0," 100 * b "," 200 }' >"$temporary/csv2"
plot "$temporary/csv2" batch prompt_tok_s
check 'the other program is dashed; a wide x axis is logarithmic' eval '[ "$(lines | wc -l)" -eq 2 ] &&
    [ "$(grep -c "polyline.*stroke-dasharray" "$out")" -eq 1 ] && grep -q ">ours<" "$out" && grep -q ">theirs<" "$out" &&
    [ "$(lines | head -n 1 | tr " " "\n" | cut -d , -f 1 | tr "\n" " ")" = "70.0 225.0 380.0 535.0 690.0 " ]'

while IFS='|' read -r message csv arguments; do
    printf "$csv" >"$temporary/bad"
    # shellcheck disable=SC2086 # words
    plot "$temporary/bad" $arguments
    check "refused: $message" eval 'says "$message" && [ ! -s "$out" ]'
done <<'END'
X is batch|a|
X is batch|a|colour gb_s
Y is prompt_tok_s|a|depth
Y is prompt_tok_s|a|depth speed
the CSV is empty||depth gb_s
the CSV is empty|# only this\n|depth gb_s
no column gb_s|depth,a\n1,2\n|depth gb_s
no column depth|gb_s\n1\n|depth gb_s
no row has a gb_s|depth,gb_s\n1,\n|depth gb_s
line 3 has not the 2 fields|depth,gb_s\n1,2\n1\n|depth gb_s
line 2: x is not a number|depth,gb_s\n1,x\n|depth gb_s
no gb_s is above 0|depth,gb_s\n1,0\n|depth gb_s
END

BUILD=$1 RESULTS=$temporary/results COUNTS=2,4 DEPTHS=0,3 bench/run.sh name models/demo.gguf -p 8 -n 4 -r 1 --threads 1 \
    --compare 'echo pp8 5 tg4@{depth} 5 # it'\''s {model}' >"$out" 2>"$err"
status=$?
check 'bench/run.sh: three files, each with its comments' eval '[ $status = 0 ] && [ "$(wc -l <"$out")" -eq 3 ] &&
    for file in batch depth threads; do grep -c "^# " "$temporary/results/name-$file.csv"; done | sort -u | grep -qx 5'
# settings: the columns of settings, without the speeds
settings() { grep -v '^#' | cut -d , -f 5-10; }
settings <"$temporary/results/name-depth.csv" >"$temporary/settings"
head -n 1 "$temporary/results/name-depth.csv" | sed 's/^# //' | sh | settings >"$temporary/again"
check 'bench/run.sh: the command in its first line runs again' eval '[ "$(wc -l <"$temporary/again")" -eq 3 ] && cmp "$temporary/settings" "$temporary/again"'
for x in batch depth threads; do
    plot "$temporary/results/name-$x.csv" $x prompt_tok_s
    check "bench/run.sh: its series of $x can be drawn" eval '[ $status = 0 ] && [ "$(lines | wc -l)" -eq 2 ]'
done
BUILD=$1 RESULTS=$temporary/results bench/run.sh bad /nonexistent.gguf >"$out" 2>"$err"
status=$?
check 'bench/run.sh: a failure leaves no file' eval 'says /nonexistent.gguf && ! ls "$temporary"/results/bad*'

if command -v python3 >/dev/null; then
    check 'the figure of the samplers is that of tools/plot/samplers.py' eval 'tools/plot/samplers.py --svg | cmp - docs/samplers.svg'
    check 'and so is the table' eval 'tools/plot/samplers.py --table >"$temporary/table" &&
        [ "$(grep -cxFf "$temporary/table" docs/10-samplers.md)" -eq "$(wc -l <"$temporary/table")" ]'
else
    n=$((n + 1)) && echo "ok $n - tools/plot/samplers.py # SKIP python3 is missing"
fi

echo "1..$n"
[ $failures -eq 0 ]
