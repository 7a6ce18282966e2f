#!/usr/bin/env python3
"""The table of docs/09-families.md, made of tests/families.tsv.

families_table.py [LOG]    write it; LOG is what build/tests/test_families printed, for the column of errors.
                           An architecture without a line in LOG keeps the figures that the table has.
families_table.py --check  exit with 1 and say what differs if the table does not hold what the list says,
                           or the list does not hold the rows of src/model/families.c.
"""
import re
import sys

LIST, DOC, ROWS = "tests/families.tsv", "docs/09-families.md", "src/model/families.c"
HEAD = "| architecture | what it brings | checked with | NMSE to llama.cpp |\n|---|---|---|---|\n"


def read_list():
    with open(LIST, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def read_errors(path):
    """The largest error of each model on any instruction set."""
    errors = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for name, error in re.findall(r"# (\S+), [^:]*: NMSE (\S+)", file.read()):
            errors[name] = max(errors.get(name, 0.0), float(error))
    return errors


def figures(errors):
    """One number, or the smallest and the largest."""
    shown = [re.sub(r"e-0?", "e-", f"{error:.1e}") for error in (min(errors), max(errors))]
    return shown[0] if shown[0] == shown[1] else " to ".join(shown)


def split_document():
    with open(DOC, encoding="utf-8") as file:
        text = file.read()
    begin = text.index(HEAD) + len(HEAD)
    end = text.index("\n\n", begin) + 1
    return text[:begin], text[begin:end], text[end:]


def make_table(known, old):
    lines = []
    for architecture, models, brings in read_list():
        errors = [known[name] for name in models.split() if name in known]
        before = re.search(rf"^\| `{re.escape(architecture)}` \|.*\| ([^|]*) \|$", old, re.M)
        last = figures(errors) if errors else before.group(1) if before else ""
        lines.append(f"| `{architecture}` | {brings} | {', '.join(models.split())} | {last} |\n")
    return "".join(lines)


def check():
    _, old, _ = split_document()
    with open(ROWS, encoding="utf-8") as file:
        rows = re.findall(r'\.architecture = "([^"]+)"', file.read())
    listed = [architecture for architecture, _, _ in read_list()]
    wrong = [f"{DOC}: the table is not that of {LIST}; run tools/families_table.py"] if make_table({}, old) != old else []
    wrong += [f"{LIST}: {name} of {ROWS} is missing" for name in rows if name not in listed]
    wrong += [f"{LIST}: {name} is not in {ROWS}" for name in listed if name not in rows]
    wrong += [f"{LIST}: {name} is there twice" for name in set(listed) if listed.count(name) > 1]
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    before, old, after = split_document()
    known = read_errors(sys.argv[1]) if len(sys.argv) > 1 else {}
    with open(DOC, "w", encoding="utf-8") as file:
        file.write(before + make_table(known, old) + after)
    return 0


sys.exit(main())
