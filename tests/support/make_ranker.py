"""Give a GGUF file of an encoder a classifier of one score, a row of weights: make_ranker.py IN OUT. Layout of the file: docs/01-gguf.md."""
import math
import struct
import sys

from gguf_reader import F32, Reader, aligned, text

reader = Reader(sys.argv[1])
for _ in range(reader.n_pairs):
    reader.take_text()
    reader.take_value(reader.take("I"))
head = reader.data[: reader.position]
head = head[:8] + struct.pack("<Q", reader.n_tensors + 1) + head[16:]
begin = reader.position
tensors = [reader.take_tensor() for _ in range(reader.n_tensors)]
n_embd = next(shape[0] for name, shape, _, _ in tensors if name == b"token_embd.weight")
body = reader.data[aligned(reader.position) :]
body += bytes(aligned(len(body)) - len(body))
head += reader.data[begin : reader.position] + text(b"cls.output.weight") + struct.pack("<IQQIQ", 2, n_embd, 1, F32, len(body))
body += struct.pack(f"<{n_embd}f", *(math.sin(7 * i) for i in range(n_embd)))
open(sys.argv[2], "wb").write(head + bytes(aligned(len(head)) - len(head)) + body)
