#!/usr/bin/env python3
"""Drive `mini-cllm chat` in a pseudo terminal: chat_turns.py PROGRAM MODEL SCRIPT [OPTION...]

Each line of the file SCRIPT is typed (\\r in it is Enter, \\x03 Ctrl-C); then the answer is awaited until the next
prompt. Prints what came after each line, as a JSON list. Needs nothing but Python."""
import fcntl, json, os, pty, re, select, struct, sys, termios, time

program, model, script = sys.argv[1:4]
lines = open(script, encoding="utf-8").read().splitlines()
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 400, 0, 0))  # before the program can see the old size
    os.execv(program, [program, "chat", model] + sys.argv[4:])
# the prompts with libedit, and without; a line of an answer may look like the latter
EDITED, PLAIN = (b"\x1b[?2004h> ", b"\x1b[?2004h... "), (b"\n> ", b"\n... ")
prompts = EDITED + PLAIN


def until_prompt(seconds=600):
    """The output up to the next prompt, without sequences that move the cursor."""
    seen, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:
                return seen, True
            if not more:
                return seen, True
            seen += more
        elif seen.endswith(prompts) or seen == b"> ":
            return seen, False
    sys.exit(f"no prompt after {seconds} s; the last bytes: {seen[-200:]!r}")


def clean(seen):
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "")
    return re.sub(r"\n?(> |\.\.\. )$", "", text)


if until_prompt()[0].endswith(EDITED): prompts = EDITED
answers, ended = [], False
for line in lines:
    if ended:
        break
    os.write(terminal, line.encode().replace(b"\\x03", b"\x03").replace(b"\\r", b"\r") + b"\r")
    seen, ended = until_prompt()
    text = clean(seen)
    answers.append(text[len(line):].lstrip("\n") if text.startswith(line) else text)
if not ended:
    os.write(terminal, b"/exit\r")
    while True:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:
            break
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
json.dump({"answers": answers, "status": status}, sys.stdout, ensure_ascii=False, indent=1)
