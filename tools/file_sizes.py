#!/usr/bin/env python3
"""The README's table of file sizes: file_sizes.py > table

The sizes are computed from the shapes of published models and the formats of their tensors, in GB (10^9 bytes), without
norms and metadata, which are less than a thousandth. The files are as llama.cpp's quantize makes them. The last column
is the memory for keys and values of 4096 tokens in F16."""

BITS = {"Q4_0": 4.5, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "Q8_0": 8.5, "F16": 16}
FILES = {"Q4_0": "Q4_0", "Q4_K_M": "Q4_K", "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "Q8_0": "Q8_0", "F16": "F16"}

# name, billions of parameters; layers, embedding, feed-forward, query heads, heads of keys and values, elements of a
# head, vocabulary, whether the output has a matrix of its own
MODELS = [
    ("Llama 3.2 1B", 1.2, 16, 2048, 8192, 32, 8, 64, 128256, False),
    ("Llama 3.2 3B", 3.2, 28, 3072, 8192, 24, 8, 128, 128256, False),
    ("Llama 3.1 8B", 8, 32, 4096, 14336, 32, 8, 128, 128256, True),
    ("Qwen 2.5 14B", 14.8, 48, 5120, 13824, 40, 8, 128, 152064, True),
    ("Qwen 2.5 32B", 32.8, 64, 5120, 27648, 40, 8, 128, 152064, True),
    ("Llama 3.1 70B", 70, 80, 8192, 28672, 64, 8, 128, 128256, True),
]


def tensors(file, n_layers, embd, ff, heads, kv_heads, head, vocab, has_output):
    """The number of weights and the type of each matrix, or of a few of the same type."""
    main, mixed, eighth = FILES[file], file.endswith("_M"), n_layers // 8
    output = main if main in ("Q8_0", "F16") else "Q6_K"
    yield vocab * embd, output
    if has_output:
        yield vocab * embd, main  # the embeddings; a model without this matrix uses its output matrix for both
    for layer in range(n_layers):
        # in a mix (_M), the matrices of values and "down" have a better type in the first and the last eighth of the
        # layers, and in every third layer between them
        chosen = layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2
        better = "Q6_K" if mixed and chosen else main
        values = "Q5_K" if file == "Q4_K_M" and n_layers == 80 and not chosen else better
        yield embd * head * (2 * heads + kv_heads) + 2 * embd * ff, main  # queries, attention's output, keys; gate, up
        yield embd * head * kv_heads, values
        yield ff * embd, better


def short(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}"


def span(values):
    low, high = (f"{x:.2f}".rstrip("0").rstrip(".") for x in (min(values), max(values)))
    return low if low == high else f"{min(values):.1f} to {max(values):.1f}"


print("| parameters, shape of |", " | ".join(FILES), "| in addition, for 4096 tokens of context |")
print("|---" * (len(FILES) + 2) + "|")
bits = {file: [] for file in FILES}
for name, billions, n_layers, embd, ff, heads, kv_heads, head, *rest in MODELS:
    cells = []
    for file in FILES:
        sizes = list(tensors(file, n_layers, embd, ff, heads, kv_heads, head, *rest))
        n_bits = sum(n * BITS[kind] for n, kind in sizes)
        bits[file].append(n_bits / sum(n for n, _ in sizes))
        cells.append(short(n_bits / 8e9))
    context = 4096 * n_layers * kv_heads * head * 2 * 2
    print(f"| {billions} billion ({name}) |", " | ".join(cells), f"| {context / 1e9:.2f} GB |")
print("| bits for each weight |", " | ".join(map(span, bits.values())), "| |")
