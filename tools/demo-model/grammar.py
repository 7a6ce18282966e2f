"""The story grammar: reads grammar.txt, makes stories and recognises sentences.

Python 3, standard library only.  How it works:

* Every slot has options, each a text with features, such as "she" with
  hero_sex=f.  Options agree with a story when their features do not contradict
  the features gathered so far ("unification").  So the same slots keep a new
  story consistent, and check a story that is read.
* A plot is a list of steps, a step a list of templates, and each template is one
  sentence.

    python3 grammar.py 5        prints five stories
"""
import os
import random
import re
import sys

GRAMMAR_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grammar.txt")
SEED = 2024             # the training corpus: stories() with this seed ...
STORY_COUNT = 48000     # ... and this many stories
PARAGRAPH = None        # marks a paragraph break among the steps of a plot


def with_article(text):
    """'red kite' -> 'a red kite', 'old owl' -> 'an old owl', 'honest boy' -> 'an honest boy'."""
    return ("an " if text.startswith(("a", "e", "i", "o", "u", "honest")) else "a ") + text


def parse_features(text):
    """'a=x/y b=z' -> {'a': {'x', 'y'}, 'b': {'z'}}"""
    pairs = (pair.split("=") for pair in text.split())
    return {name: frozenset(values.split("/")) for name, values in pairs}


def unify(old, new):
    """The features of both together, or None where they contradict each other."""
    result = dict(old)
    for name, values in new.items():
        both = result[name] & values if name in result else values
        if not both:
            return None
        result[name] = both
    return result


class Part:
    """A place in a sentence and the options for it: a list of (text, features)."""

    def __init__(self, options):
        self.options = options
        self.names = sorted({name for _, features in options for name in features})
        self.fixed = options[0][0] if len(options) == 1 and not self.names else None
        self.remembered = {}

    def agreeing(self, features):
        """The options that agree with the features, each with the features after it."""
        key = tuple([features.get(name) for name in self.names])
        if key not in self.remembered:
            known = {name: features[name] for name in self.names if name in features}
            self.remembered[key] = [(text, both) for text, new in self.options
                                    for both in [unify(known, new)] if both is not None]
        return self.remembered[key]


class Grammar:
    def __init__(self, path=GRAMMAR_FILE):
        self.slots = {}         # slot name -> list of (text, features)
        self.steps = {}         # step name -> list of templates
        self.plots = []         # (features, list of (chance, templates) or PARAGRAPH)
        with open(path, encoding="ascii") as file:
            self._read(file)
        self.templates = list(dict.fromkeys(
            template
            for _, steps in self.plots for step in steps if step is not PARAGRAPH
            for template in step[1]))
        self.compiled = {template: self._compile(template) for template in self.templates}
        self.endings = set(self.steps["end"])

    # ------------------------------------------------------------ reading grammar.txt

    def _read(self, file):
        columns = None                      # slot names of the table being read
        lines_to = None                     # list the next "- sentence" goes to
        plot = None
        for line in file:
            line = line.rstrip("\n")
            word, _, rest = line.partition(" ")
            if line.startswith("#") or not line:
                columns = None if not line else columns
            elif word == "-":
                lines_to.append(rest)
            elif word in ("list", "keep"):
                head, _, texts = rest.partition(" : ")
                name, _, features = head.partition(" ")
                for text in texts.split(", "):
                    own = parse_features(features)
                    if word == "keep":
                        own[name] = frozenset([text])
                    self.slots.setdefault(name, []).append((text, own))
            elif word == "table":
                table, _, names = rest.partition(" : ")
                columns, row_number = names.split(" | "), 0
            elif columns:
                texts, _, features = line.partition(" ; ")
                own = parse_features(features)
                own["table " + table] = frozenset([row_number])
                row_number += 1
                for name, text in zip(columns, texts.split(" | ")):
                    self.slots.setdefault(name, []).append((text, own))
            elif word == "step":
                lines_to = self.steps[rest] = []
            elif word == "plot":
                _, _, features = rest.partition(" ")
                plot, lines_to = [], None
                self.plots.append((parse_features(features), plot))
            elif word == "use":
                if lines_to == [] and plot and plot[-1] is not PARAGRAPH and plot[-1][1] is lines_to:
                    plot[-1] = (plot[-1][0], self.steps[rest])      # "maybe" before "use"
                else:
                    plot.append((1.0, self.steps[rest]))
            elif word in ("one", "maybe"):
                lines_to = []
                plot.append((1.0 if word == "one" else 0.5, lines_to))
            elif word == "paragraph":
                plot.append(PARAGRAPH)
            else:
                raise ValueError("grammar.txt: cannot read: " + line)

    def _compile(self, template):
        """A template as a list of parts."""
        parts = []
        for literal, slot, choice in re.findall(r"([^{\[]+)|\{([^}]*)\}|\[([^\]]*)\]", template):
            if literal:
                parts.append(Part([(literal, {})]))
            elif choice:
                # An alternative may itself contain slots: it becomes one option for each of their texts.
                options = []
                for alternative in choice.split("|"):
                    options += self._expand(alternative)
                parts.append(Part(options))
            else:
                parts.append(Part(self._slot(slot)))
        return parts

    def _slot(self, slot):
        """The options of {slot}, {a slot}, {Slot} or {A slot}."""
        capital, slot = slot[0].isupper(), slot[0].lower() + slot[1:]
        article, name = (True, slot[2:]) if slot.startswith("a ") else (False, slot)
        options = []
        for text, features in self.slots[name]:
            text = with_article(text) if article else text
            options.append((text[0].upper() + text[1:] if capital else text, features))
        return options

    def _expand(self, text):
        """All texts of an alternative, with its slots filled in every way that agrees."""
        results = [("", {})]
        for literal, slot in re.findall(r"([^{]+)|\{([^}]*)\}", text):
            options = [(literal, {})] if literal else self._slot(slot)
            results = [(left + right, both)
                       for left, first in results for right, second in options
                       for both in [unify(first, second)] if both is not None]
        return results

    # ------------------------------------------------------------ making stories

    def story(self, rng):
        """One story, made with rng.random() alone: the same on every Python 3."""
        start, steps = self.plots[int(rng.random() * len(self.plots))]
        features = dict(start)
        text, separator = [], ""
        for step in steps:
            if step is PARAGRAPH:
                separator = "\n\n"
                continue
            chance, templates = step
            if chance < 1.0 and rng.random() >= chance:
                continue
            template = templates[int(rng.random() * len(templates))]
            text.append(separator)
            for part in self.compiled[template]:
                if part.fixed is not None:
                    text.append(part.fixed)
                    continue
                options = part.agreeing(features)
                piece, more = options[int(rng.random() * len(options))]
                text.append(piece)
                features.update(more)
            separator = " "
        return "".join(text)

    def stories(self, count=STORY_COUNT, seed=SEED):
        rng = random.Random(seed)
        for _ in range(count):
            yield self.story(rng)

    # ------------------------------------------------------------ recognising sentences

    def parses(self, sentence):
        """All ways to read a sentence: a list of (template, features); empty when there is none."""
        return [(template, features) for template in self.templates
                for features in self._match(self.compiled[template], 0, sentence, 0, {})]

    def _match(self, parts, index, sentence, position, features):
        if index == len(parts):
            if position == len(sentence):
                yield features
            return
        for text, new in parts[index].options:
            if sentence.startswith(text, position):
                both = unify(features, new) if new else features
                if both is not None:
                    yield from self._match(parts, index + 1, sentence, position + len(text), both)


def split_sentences(story):
    """Split a story into sentences.

    A sentence ends at . ! or ? outside quotation marks, or at a closing quotation mark
    after . ! or ? unless a lower-case word follows (as in: "Who are you?" asked Tom.).
    The end of a line always ends a sentence.
    """
    sentences = []
    for line in story.split("\n"):
        start, quoted = 0, False
        for i, char in enumerate(line):
            closing = char == '"' and quoted
            if char == '"':
                quoted = not quoted
            stop = char in ".!?" and not quoted or closing and line[i - 1] in ".!?"
            after = line[i + 1:i + 3]
            if stop and (after == "" or after[0] == " " and not after[1:].islower()):
                sentences.append(line[start:i + 1].strip())
                start = i + 1
        sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]


if __name__ == "__main__":
    grammar = Grammar()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    rng = random.Random()
    print("\n---\n".join(grammar.story(rng) for _ in range(count)))
