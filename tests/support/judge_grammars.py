"""Do texts fit their grammars? judge_grammars.py CASES < texts: judges what tests/write_by_grammar.c printed, with
python3-jsonschema and Python's regular expressions. Prints the texts that do not fit, and a count."""

import json
import re
import sys

import jsonschema

cases = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
formats = jsonschema.FormatChecker()
judges = []
for case in cases:
    schema = case["text"] if case["kind"].startswith("json_schema") else None
    kind = None if schema is None else jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    judges.append(kind and kind(schema, format_checker=formats))


def fault(case, judge, text):
    """What is wrong with a text, or None."""
    if judge is None:
        return None if re.fullmatch(case["regex"], text) else f"does not match {case['regex']}"
    pairs = []
    try:
        value = json.loads(text, object_pairs_hook=lambda members: pairs.append([name for name, _ in members]) or dict(members))
    except ValueError as error:
        return f"is no JSON: {error}"
    if "order" in case and pairs[-1] != [name for name in case["order"] if name in pairs[-1]]:
        return f"has its members in the order {pairs[-1]}"
    error = next(judge.iter_errors(value), None)
    return error and f"is not valid: {error.message}"


n_texts = n_wrong = n_unfinished = 0
for line in sys.stdin:
    written = json.loads(line)
    n_texts += 1
    if written["unfinished"]:
        n_unfinished += 1
        continue
    wrong = fault(cases[written["grammar"]], judges[written["grammar"]], written["text"])
    if wrong:
        n_wrong += 1
        print(f"grammar {written['grammar'] + 1}, seed {written['seed']}: {written['text']!r} {wrong}")
print(f"{n_texts} texts, {n_unfinished} unfinished, {n_wrong} wrong")
sys.exit(n_wrong > 0 or n_texts == 0 or n_unfinished * 20 > n_texts)
