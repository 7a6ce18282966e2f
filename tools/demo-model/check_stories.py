#!/usr/bin/env python3
"""Check stories that a model wrote against the grammar they were learned from.

    python3 check_stories.py FILE        (- reads standard input)

FILE holds stories with a line --- between them.  Prints the figures and exits with 1 when
fewer than 95% of the sentences are ones the grammar can make, when a story is a copy of
one in the training corpus, or when fewer than 95% of the stories are distinct.
Needs Python 3 and its standard library only.
"""
import re
import sys

sys.dont_write_bytecode = True

import grammar

LEAST_GRAMMATICAL = 0.95
LEAST_DISTINCT = 0.95
SHOWN = 5               # how many sentences that the grammar cannot make are printed


def read_stories(path):
    if path == "-":
        text = sys.stdin.read()
    else:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    stories = re.split(r"^---[ \t\r]*$", text, flags=re.MULTILINE)
    return [story.strip() for story in stories if story.strip()]


def agree(parses, only=None):
    """Whether the sentences of a story can be read so that their features agree.

    parses: for each sentence its readings, a list of (template, features)
    only: the names of the features that count, or None for all
    """
    possible = [{}]
    for readings in parses:
        if not readings:
            continue            # counted elsewhere as not grammatical
        next_possible = {}
        for _, features in readings:
            new = {name: values for name, values in features.items() if only is None or name in only}
            for old in possible:
                both = grammar.unify(old, new)
                if both is not None:
                    next_possible[frozenset(both.items())] = both
        possible = list(next_possible.values())
        if not possible:
            return False
    return True


def percent(part, whole):
    return f"{part} of {whole} ({100 * part / whole:.1f}%)"


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__.strip())
    stories = read_stories(sys.argv[1])
    if not stories:
        sys.exit("FAILED: no stories in " + sys.argv[1])
    rules = grammar.Grammar()
    known = {}                  # sentence -> its readings
    sentences = grammatical = ended = same_hero = consistent = all_good = 0
    strange, firsts, words = [], set(), set()
    for story in stories:
        parts = grammar.split_sentences(story)
        for part in parts:
            if part not in known:
                known[part] = rules.parses(part)
                if not known[part]:
                    strange.append(part)
        parses = [known[part] for part in parts]
        good = sum(bool(readings) for readings in parses)
        sentences += len(parts)
        grammatical += good
        all_good += good == len(parts)
        ended += any(template in rules.endings for template, _ in parses[-1])
        same_hero += agree(parses, {"hero", "hero_sex"})
        consistent += agree(parses)
        firsts.add(parts[0])
        words.update(re.findall(r"[A-Za-z]+", story.lower()))
    distinct = set(stories)
    copies = distinct.intersection(rules.stories())
    copied = sum(story in copies for story in stories)

    total = len(stories)
    print(f"stories                          {total}")
    print(f"sentences                        {sentences}")
    print(f"sentences the grammar can make   {percent(grammatical, sentences)}")
    print(f"stories of such sentences only   {percent(all_good, total)}")
    print(f"distinct stories                 {percent(len(distinct), total)}")
    print(f"distinct first sentences         {percent(len(firsts), total)}")
    print(f"distinct sentences               {percent(len(known), sentences)}")
    print(f"different words                  {len(words)}")
    print(f"mean length                      {sentences / total:.1f} sentences, "
          f"{sum(len(story.split()) for story in stories) / total:.0f} words")
    print(f"end with a closing sentence      {percent(ended, total)}")
    print(f"same hero and pronoun throughout {percent(same_hero, total)}")
    print(f"names and things all agree       {percent(consistent, total)}")
    print(f"copied from the training corpus  {percent(copied, total)}")
    for sentence in strange[:SHOWN]:
        print("not in the grammar: " + sentence)

    failures = []
    if grammatical < LEAST_GRAMMATICAL * sentences:
        failures.append(f"only {100 * grammatical / sentences:.1f}% of the sentences are in the grammar")
    if copied:
        failures.append(f"{copied} stories are copies of training stories")
    if len(distinct) < LEAST_DISTINCT * total:
        failures.append(f"only {len(distinct)} of {total} stories are distinct")
    if failures:
        print("FAILED: " + "; ".join(failures))
        sys.exit(1)
    print("passed")


if __name__ == "__main__":
    main()
