"""Rewrite a GGUF file of F32 tensors with its matrices as F16: to_f16.py IN OUT. Layout of the file: docs/01-gguf.md."""
import struct
import sys

from gguf_reader import F16, F32, Reader, aligned, text

reader = Reader(sys.argv[1])
for _ in range(reader.n_pairs):
    reader.take_text()
    reader.take_value(reader.take("I"))
head = reader.data[: reader.position]
tensors = [reader.take_tensor() for _ in range(reader.n_tensors)]
base = aligned(reader.position)

table, body = b"", b""
for name, shape, kind, offset in tensors:
    assert kind == F32, name
    count = 1
    for n in shape:
        count *= n
    values = struct.unpack_from(f"<{count}f", reader.data, base + offset)
    kind, letter = (F16, "e") if len(shape) > 1 else (F32, "f")
    table += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(body))
    body += struct.pack(f"<{count}{letter}", *values)
    body += bytes(aligned(len(body)) - len(body))
head += table
open(sys.argv[2], "wb").write(head + bytes(aligned(len(head)) - len(head)) + body)
