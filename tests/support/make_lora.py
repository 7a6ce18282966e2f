"""Write a random LoRA adapter for matrices of a model: make_lora.py MODEL OUT [SEED [STEM ...]]. Without a STEM it is
for all matrices. It has rank 4, type F32 and alpha 8. Layout of the file: docs/01-gguf.md; adapters:
docs/06-engine.md."""
import random
import struct
import sys

from gguf_reader import FLOAT32, STRING, Reader, aligned, text

RANK = 4

reader = Reader(sys.argv[1])
generator = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
stems = sys.argv[4:]
metadata = {}
for _ in range(reader.n_pairs):
    key = reader.take_text()
    metadata[key] = reader.take_value(reader.take("I"))

table, body, count = b"", b"", 0


def put(name, shape):
    global table, body, count
    n = 1
    for extent in shape:
        n *= extent
    table += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(body))
    body += struct.pack(f"<{n}f", *(generator.uniform(-0.2, 0.2) for _ in range(n)))
    body += bytes(aligned(len(body)) - len(body))
    count += 1


for _ in range(reader.n_tensors):
    name, shape, _, _ = reader.take_tensor()
    if len(shape) < 2 or b"norm" in name or b"position_embd" in name or not name.endswith(b".weight"):
        continue
    if stems and not any(stem.encode() in name for stem in stems):
        continue
    if name == b"token_embd.weight":
        put(name + b".lora_a", [RANK, shape[1]])
        put(name + b".lora_b", [RANK, shape[0]])
    else:
        put(name + b".lora_a", [shape[0], RANK] + shape[2:])
        put(name + b".lora_b", [RANK] + shape[1:])

pairs = [
    (b"general.type", STRING, text(b"adapter")),
    (b"general.architecture", STRING, text(metadata[b"general.architecture"])),
    (b"adapter.type", STRING, text(b"lora")),
    (b"adapter.lora.alpha", FLOAT32, struct.pack("<f", 8)),
]
head = b"GGUF" + struct.pack("<IQQ", 3, count, len(pairs))
for key, kind, value in pairs:
    head += text(key) + struct.pack("<I", kind) + value
head += table
open(sys.argv[2], "wb").write(head + bytes(aligned(len(head)) - len(head)) + body)
