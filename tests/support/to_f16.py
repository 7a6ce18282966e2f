"""Rewrite a GGUF file of F32 tensors with its matrices as F16: to_f16.py IN OUT. Layout of the file: docs/01-gguf.md."""
import struct
import sys

F32, F16, STRING, ARRAY = 0, 1, 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ALIGNMENT = 32

data = open(sys.argv[1], "rb").read()
position = 8


def take(layout):
    global position
    values = struct.unpack_from("<" + layout, data, position)
    position += struct.calcsize("<" + layout)
    return values if len(values) > 1 else values[0]


def skip_value(kind):
    global position
    if kind == STRING:
        length = take("Q")
        position += length
    elif kind == ARRAY:
        kind, count = take("IQ")
        for _ in range(count):
            skip_value(kind)
    else:
        position += SIZES[kind]


def aligned(n):
    return (n + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


n_tensors, n_pairs = take("QQ")
for _ in range(n_pairs):
    skip_value(STRING)
    skip_value(take("I"))
head = data[:position]
tensors = []
for _ in range(n_tensors):
    start = position
    skip_value(STRING)
    name = data[start:position]
    n_dimensions = take("I")
    shape = [take("Q") for _ in range(n_dimensions)]
    kind, offset = take("IQ")
    assert kind == F32, name
    tensors.append((name, shape, offset))
base = aligned(position)

table, body = b"", b""
for name, shape, offset in tensors:
    count = 1
    for n in shape:
        count *= n
    values = struct.unpack_from(f"<{count}f", data, base + offset)
    kind, letter = (F16, "e") if len(shape) > 1 else (F32, "f")
    table += name + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(body))
    body += struct.pack(f"<{count}{letter}", *values)
    body += bytes(aligned(len(body)) - len(body))
head += table
open(sys.argv[2], "wb").write(head + bytes(aligned(len(head)) - len(head)) + body)
