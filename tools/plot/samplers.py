#!/usr/bin/env python3
"""What each sampler makes of one distribution: samplers.py --table > rows of Markdown; samplers.py --svg > figure.svg

Each sampler follows its definition in a few lines. tests/test_sampler_chain.c compares the engine's samplers with such
lines. It needs nothing but Python."""
import math, sys

LOGITS = {"mat": 4.0, "floor": 3.6, "sofa": 3.2, "roof": 2.8, "chair": 2.4, "bed": 1.8, "lap": 1.2, "dog": 0.3, "moon": -0.8, "of": -2.5}
CAME = {"mat": 2, "of": 1}  # how often each word occurred recently


def softmax(logits):
    largest = max(logits.values())
    e = {word: math.exp(x - largest) for word, x in logits.items()}
    return {word: x / sum(e.values()) for word, x in e.items()}


def keep(words):
    kept = {word: P[word] for word in P if word in words}
    return {word: p / sum(kept.values()) for word, p in kept.items()}


def until(words, reached):
    """The first words, until reached(the sum of their probabilities) is true."""
    total, taken = 0, []
    for word in words:
        total += P[word]
        taken.append(word)
        if reached(total):
            break
    return taken


P = softmax(LOGITS)
FALLING = sorted(P, key=lambda word: -P[word])
ENTROPY = -sum(p * math.log(p) for p in P.values())
MEAN = sum(LOGITS.values()) / len(LOGITS)
SIGMA = math.sqrt(sum((x - MEAN) ** 2 for x in LOGITS.values()) / len(LOGITS))
LIKELY = [word for word in FALLING if P[word] >= 0.15]


def temperature(t):
    return softmax({word: x / t for word, x in LOGITS.items()})


def penalized(change):
    return softmax({word: change(x, CAME[word]) if word in CAME else x for word, x in LOGITS.items()})


def adaptive(target):
    def logit(p):
        distance = abs(p - target) / 0.3
        return 5 - 10 * distance**2 / (1 + distance)

    return softmax({word: logit(p) for word, p in P.items()})


ROWS = [
    ("as it is", P),
    ("temperature 0.5", temperature(0.5)),
    ("temperature 2", temperature(2)),
    ("dynatemp-range 0.7", temperature(0.3 + 1.4 * ENTROPY / math.log(len(P)))),
    ("top-k 4", keep(FALLING[:4])),
    ("top-p 0.7", keep(until(FALLING, lambda total: total >= 0.7))),
    ("min-p 0.2", keep([word for word in P if P[word] >= 0.2 * P[FALLING[0]]])),
    ("typical-p 0.45", keep(until(sorted(P, key=lambda word: abs(-math.log(P[word]) - ENTROPY)), lambda total: total > 0.45))),
    ("top-n-sigma 1", keep([word for word in P if LOGITS[word] >= max(LOGITS.values()) - SIGMA])),
    ("xtc-threshold 0.15", keep([word for word in P if word not in LIKELY[:-1]])),
    ("mirostat 2, mu 2.5", keep([word for word in P if -math.log2(P[word]) <= 2.5])),
    ("adaptive-target 0.15", adaptive(0.15)),
    ("repeat-penalty 1.3", penalized(lambda x, n: x / 1.3 if x > 0 else x * 1.3)),
    ("frequency-penalty 0.5", penalized(lambda x, n: x - 0.5 * n)),
    ("presence-penalty 0.5", penalized(lambda x, n: x - 0.5)),
]


def table():
    print("| | " + " | ".join(P) + " |\n|---|" + "---:|" * len(P))
    for name, p in ROWS:
        print(f"| {name} | " + " | ".join(f"{p[word]:.3f}" if word in p else "" for word in P) + " |")


def svg():
    columns, width, height, gap_x, gap_y, bar = 3, 200, 90, 40, 50, 20
    rows = -(-len(ROWS) // columns)
    total = columns * (width + gap_x) + gap_x, rows * (height + gap_y) + gap_y
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{total[0]}" height="{total[1]}" viewBox="0 0 {total[0]} {total[1]}">')
    print("<title>One distribution, and what each sampler makes of it</title>")
    print("<style>text { font: 12px system-ui, sans-serif; fill: #7d8590 } .name { font-weight: 600 }")
    print(".was { fill: #7d8590; fill-opacity: 0.25 } .is { fill: #2f81f7 } .axis { stroke: #7d8590; stroke-opacity: 0.5 }</style>")
    for i, (name, p) in enumerate(ROWS):
        left, top = gap_x + i % columns * (width + gap_x), gap_y + i // columns * (height + gap_y)
        print(f'<text class="name" x="{left}" y="{top - 10}">{name}</text>')
        for k, word in enumerate(P):
            for kind, value in (("was", P[word]), ("is", p.get(word, 0))):
                h, x = value / 0.6 * height, left + k * bar + (0 if kind == "was" else 4)
                if value > 0:
                    print(f'<rect class="{kind}" x="{x}" y="{top + height - h:.1f}" width="{16 if kind == "was" else 8}" height="{h:.1f}"/>')
        print(f'<line class="axis" x1="{left}" y1="{top + height}" x2="{left + width}" y2="{top + height}"/>')
    print("</svg>")


if sys.argv[1:] == ["--table"]:
    table()
elif sys.argv[1:] == ["--svg"]:
    svg()
else:
    sys.exit("usage: samplers.py --table | --svg")
