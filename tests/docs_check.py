"""Tests the documentation: docs_check.py BUILD [FILE...], from the top of the repository. Prints TAP, one check for
each block or file.

A block ```console is a session. Lines with "$ " are commands; sh runs them one after another, in one folder for all
blocks of a file. The other lines are the output of the command before them; "..." stands for anything. Among them,
lines with "> " are typed at the command's prompt, in a terminal. A block ```sh is a script that must end with 0.

The comment <!-- not run: REASON --> before a block leaves it out, and <!-- needs: COMMAND --> skips it if the
command fails. A block with a model that is not here is skipped: models/ has the demo model, the folder
$MINICLLM_PUBLISHED may have published ones, and $MINICLLM_SHARED/vocab and $MINICLLM_VOCAB vocabularies.

A table after the comment <!-- made by: COMMAND --> must be what the command prints.

Links must lead to files and headings that exist. `names_with_underscores` and `paths/with/slashes` must be found in
the repository. The drawing of the architecture names each room of src/, and nothing that does not exist. The picture
of a terminal shows what its command prints; the speeds in it are those of another machine.
"""
import fcntl
import html
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from support.plan_table import has_avx512, wrong_plan

SECONDS = 120
ROOT = os.getcwd()
SETTINGS_OF_MAKE = ["MAKEFLAGS", "MFLAGS", "BUILD", "CFLAGS", "WERROR", "SANITIZE"]  # of the make that runs the tests
OTHERS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md"]  # beside docs/*.md
checks = []


def say(good, name, why=""):
    checks.append(good)
    print(f"{'ok' if good else 'not ok'} {len(checks)} - {name}", flush=True)
    for line in why.splitlines()[:40]:
        print("# " + line[:200])


def skip(name, why):
    checks.append(True)
    print(f"ok {len(checks)} - {name} # SKIP {why}", flush=True)


# ------------------------------------------------------------------------------------------------- blocks


def blocks_of(text):
    """(first line, kind, lines, the comment before it or None) of each fenced block."""
    kind, lines, comment, begun, indent = None, [], None, 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"(\s*)```(\w*)\s*$", line)
        if kind is None and fence:
            (indent, kind), lines, begun = fence.groups(), [], number  # a block of a list is indented as a whole
        elif kind is not None and fence:
            yield begun, kind, lines, comment
            kind, comment = None, None
        elif kind is not None:
            lines.append(line.removeprefix(indent))
        else:
            said = re.match(r"\s*<!-- ((?:not run|needs): .*) -->$", line)
            comment = said.group(1) if said else comment if not line.strip() else None


def make_room(build, room):
    """A folder that looks like the top of the repository, in which commands may leave files."""
    for name in os.listdir(ROOT):
        if not name.startswith(".") and name != "build":
            os.symlink(os.path.join(ROOT, name), os.path.join(room, name))
    os.symlink(os.path.abspath(build), os.path.join(room, "build"))
    vocabularies = os.path.join(os.environ.get("MINICLLM_SHARED", "../shared"), "vocab")
    for folder in [os.environ.get("MINICLLM_PUBLISHED", ""), vocabularies, os.environ.get("MINICLLM_VOCAB", "")]:
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            # the names that the documentation uses
            if name.endswith(".gguf") and not os.path.lexists(os.path.join(room, name)):
                os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(room, name))


def missing_model(text, room):
    for name in re.findall(r"[\w./-]+\.gguf\b", text):
        written = any(sign in text for sign in (f"> {name}", f"-o {name}", f'open("{name}", "wb")'))
        if not written and not os.path.exists(os.path.join(room, name)):
            return name
    return None


def environment_in(room):
    without = {name: value for name, value in os.environ.items() if name not in SETTINGS_OF_MAKE}
    return dict(without, LC_ALL="C.UTF-8", PATH=os.path.join(room, "build") + os.pathsep + os.environ["PATH"])


def run(script, room):
    """Status, stdout and stderr. Processes that it left in the background are ended, too."""
    outputs = []
    for name in ("stdout", "stderr"):  # files, because a process in the background would keep a pipe open
        outputs.append(open(os.path.join(room, "." + name), "w+", encoding="utf-8", errors="replace"))
    process = subprocess.Popen(["sh", "-c", script], cwd=room, env=environment_in(room), start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=outputs[0], stderr=outputs[1])
    try:
        status = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        status = 124
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    texts = []
    for file in outputs:
        file.seek(0)
        texts.append(file.read())
        file.close()
    return status, texts[0], texts[1]


def agrees(expected, output):
    """Are these lines the same, if "..." stands for anything?"""
    pieces = "\n".join(line.rstrip() for line in expected).split("...")
    got = "\n".join(line.rstrip() for line in output.rstrip("\n").split("\n"))
    if len(pieces) == 1:
        return got == pieces[0]
    if not got.startswith(pieces[0]):
        return False
    at = len(pieces[0])
    for piece in pieces[1:-1]:
        found = got.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(got) - at >= len(pieces[-1]) and got.endswith(pieces[-1])


def talk(script, typed, room):
    """What a terminal shows of a conversation, in which each line is typed after a prompt; it is ended by /exit."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
    process = subprocess.Popen(["sh", "-c", script], cwd=room, env=dict(environment_in(room), TERM="dumb"), start_new_session=True,
                               stdin=there, stdout=there, stderr=there)
    os.close(there)
    shown, rest, end = b"", typed + ["/exit"], time.time() + SECONDS
    while time.time() < end:
        if not select.select([here], [], [], 1)[0]:
            continue
        try:
            more = os.read(here, 65536)
        except OSError:  # it has ended
            break
        shown += more
        if rest and (b"\n" + shown).endswith(b"\n> "):
            os.write(here, rest.pop(0).encode() + b"\n")
    os.close(here)
    process.kill()
    process.wait()
    return re.sub(r"\r|\x1b\[[0-9;]*[A-Za-z]", "", shown.decode(errors="replace")).removesuffix("\n> /exit\n")


def try_session(lines, room):
    commands = []
    for line in lines:
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif not commands:
            return "the first line is no command"
        else:
            commands[-1][1].append(line)
    for script, expected in commands:
        typed = [line[2:] for line in expected if line.startswith("> ")]
        if typed:
            output = notes = talk(script, typed, room)
        else:
            _, output, notes = run(script, room)
        if not agrees(expected, output) and not agrees(expected, notes + output):
            return f"$ {script}\nsays:\n{output}{notes}\nand not:\n" + "\n".join(expected)
    return ""


def try_block(name, kind, lines, comment, room):
    if comment and comment.startswith("not run: "):
        return None
    if comment and run(comment.removeprefix("needs: "), room)[0] != 0:
        return skip(name, f"{comment.removeprefix('needs: ')} fails")
    absent = missing_model("\n".join(lines), room)
    if absent:
        return skip(name, f"{absent} is not here")
    if kind == "console":
        why = try_session(lines, room)
        return say(not why, name, why)
    status, output, notes = run("set -e\n" + "\n".join(lines), room)
    return say(status == 0, name, "" if status == 0 else f"status {status}\n{output}{notes}")


# -------------------------------------------------------------------------------------------------- names


def anchor_of(heading):
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def prose_of(text):
    return re.sub(r"^[ \t]*```.*?^[ \t]*```[ \t]*$", "", text, flags=re.M | re.S)


def bad_links(path, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        other = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not os.path.exists(other):
            yield f"the link {target} leads nowhere"
        elif anchor and other.endswith(".md"):
            with open(other, encoding="utf-8") as there:
                headings = [anchor_of(h) for h in re.findall(r"^#+ (.*)$", prose_of(there.read()), re.M)]
            if anchor not in headings:
                yield f"the link {target}: there is no such heading"


def known_words():
    files = []
    for folder, folders, names in os.walk("."):
        folders[:] = [name for name in folders if not name.startswith((".", "build", "node_modules"))]
        files += [os.path.join(folder, name)[2:] for name in names]
    words = set()
    for name in files:
        if name.endswith((".md", ".gguf", ".svg")) or not os.path.isfile(name):
            continue
        with open(name, encoding="utf-8", errors="replace") as file:
            words.update(re.findall(r"\w+", file.read()))
    return words, files


def stands_for(name, words):
    """block_TYPE stands for block_q4_0 and others, results/NAME.csv for results/zen5.csv."""
    pattern = re.sub("TYPE|NAME", r"[\\w-]+", name)
    return pattern != name and any(re.fullmatch(pattern, word) for word in words)


def bad_names(text, words, files):
    for name in set(re.findall(r"`([^`\n]+)`", prose_of(text))):
        word = name.rstrip("()")
        if re.fullmatch(r"[a-zA-Z]\w*_\w+", word) and word not in words and not stands_for(word, words):
            yield f"`{name}` is nowhere in the repository"
        elif re.fullmatch(r"(src|tests|programs|bench|tools|examples|include|scripts|models)/[\w./-]+", name):
            if not os.path.exists(name) and not any(f.startswith(name + ".") for f in files) and not stands_for(name, files):
                yield f"`{name}` does not exist"


def bad_tables(text, room):
    tables = re.findall(r"^<!-- made by: (.*) -->\n\n?((?:\|.*\n)+)", text, re.M)
    if len(tables) != len(re.findall("^<!-- made by: ", text, re.M)):
        yield "a command <!-- made by: ... --> has no table below it"
    for command, table in tables:
        _, output, notes = run(command, room)
        if output != table:
            yield f"the table is not what {command} prints:\n{output}{notes}"


# ----------------------------------------------------------------------------------------------- pictures


def bad_drawing(svg, rooms):
    """The drawing of the architecture writes folders and files of the repository in a class of their own."""
    named = re.findall(r'class="folder"[^>]*>([^<]*)<', svg)
    yield from (f"the drawing names {name}, which does not exist" for name in named if not os.path.exists(name))
    yield from (f"the drawing does not show {room}" for room in rooms if room not in named)


def bad_picture(svg, readme, room):
    """The picture of a terminal: a command, which the README has, and the text that it prints, wrapped."""
    command, text = ([html.unescape(line) for line in re.findall(rf'class="{kind}">([^<]*)<', svg)] for kind in ("command", "text"))
    if command[0] not in readme:
        yield f"README.md does not have {command[0]}"
    _, output, notes = run(f"{command[0]} --cpu-isa avx2", room)
    if output.split() != " ".join(text).split():
        yield f"the picture is not of what its command prints:\n{output}{notes}"


def content_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def try_pictures(build):
    why = list(bad_drawing(content_of("docs/architecture.svg"), sorted(f"src/{name}" for name in os.listdir("src"))))
    say(not why, "docs/architecture.svg: names", "\n".join(why))
    planted = list(bad_drawing('<text class="folder" x="1">src/nowhere</text>', ["src/somewhere"]))
    say(len(planted) == 2, "planted names are found")
    with tempfile.TemporaryDirectory() as room:
        make_room(build, room)
        if run("mini-cllm models/demo.gguf -p a -n 1 --cpu-isa avx2", room)[0] != 0:
            return skip("docs/run.svg", "it was drawn with AVX2 or AVX-512; other instruction sets may draw other tokens")
        svg = content_of("docs/run.svg")
        why = list(bad_picture(svg, content_of("README.md"), room))
        say(not why, "docs/run.svg: what its command prints", "\n".join(why))
        say(len(list(bad_picture(svg.replace("fox", "owl"), "", room))) == 2, "a planted animal is found")


PLANTED = """# Faults
<!-- made by: echo "| a |" -->
| b |

[a](nowhere.md) [b](#no-heading) `no_such-function` `src/no/such.c`
```console
$ echo one
two
```
```sh
false
true
```
<!-- needs: false -->
```sh
false
```
```console
$ echo one and two
one ...
```
1. In a list:

   ```console
   $ echo '[a](nowhere-either.md)'; echo '  two'
   [a](nowhere-either.md)
     two
   ```
   ```sh
   false
   ```
"""


def finds_planted_faults(build):
    with tempfile.TemporaryDirectory() as room:
        path = os.path.join(room, "planted.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(PLANTED.replace("-function", "_function"))  # a word that no file has
        said = subprocess.run([sys.executable, __file__, build, path], capture_output=True, text=True).stdout
    found = [re.sub(" .*", "", line.replace("not ok", "not")) for line in said.splitlines() if line.startswith(("ok", "not ok"))]
    say(found == ["not", "not", "not", "ok", "ok", "ok", "not"] and said.count("leads nowhere") == 1 and said.count("no such heading") == 1
        and said.count("nowhere in the") == 1 and said.count("does not exist") == 1 and said.count("the table is not") == 1,
        "planted faults are found", said)


def main():
    build = sys.argv[1]
    documents = sys.argv[2:] or OTHERS + sorted(f"docs/{name}" for name in os.listdir("docs") if name.endswith(".md"))
    if len(sys.argv) == 2:
        finds_planted_faults(build)
        try_pictures(build)
    words, files = known_words()
    for path in documents:
        text = content_of(path)
        tells_of_the_past = path.endswith("-log.md")  # it names files that no longer exist
        if path == "docs/06-engine.md":
            why = wrong_plan(build, text)
            say(not why, f"{path}: the plan of TinyLlama", why)
            if not has_avx512(): skip(f"{path}: the scratch of that plan", "it is that of the AVX-512 kernels")
        with tempfile.TemporaryDirectory() as room:
            make_room(build, room)
            why = list(bad_links(path, text)) + list(bad_tables(text, room))
            why += [] if tells_of_the_past else list(bad_names(text, words, files))
            say(not why, f"{path}: links, names and tables", "\n".join(why))
            for line, kind, lines, comment in blocks_of(text):
                if kind in ("console", "sh"):
                    try_block(f"{path}:{line}", kind, lines, comment, room)
    print(f"1..{len(checks)}")
    return 0 if all(checks) else 1


sys.exit(main())
