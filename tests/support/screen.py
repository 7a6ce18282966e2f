"""What a terminal shows after a program has run: screen.py PROGRAM ARGUMENTS... Only carriage returns and the erasing of a
line's rest are followed; colours are dropped. If DUMB is set, the terminal is a dumb one, which shows all as it comes."""
import os
import pty
import re
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "dumb" if "DUMB" in os.environ else "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while True:
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    seen += more
if "DUMB" in os.environ:
    seen = seen.replace(b"\x1b", b"an escape")
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
for line in re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()).split("\n"):
    shown, column = "", 0
    for part in re.split(r"(\r|\x1b\[K)", line):
        if part == "\r":
            column = 0
        elif part == "\x1b[K":
            shown = shown[:column]
        else:
            shown = shown[:column] + part + shown[column + len(part):]
            column += len(part)
    print(shown)
if b"thinking..." in seen:
    print("it showed that it thinks")
sys.exit(status if status >= 0 else 128 - status)  # a signal: as a shell says it
