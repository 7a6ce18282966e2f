"""Add a classifier to a GGUF file: make_ranker.py IN OUT [yes-no | nan]. It has one score, from one row of weights;
with nan these are NaNs. With yes-no the file, of qwen3, gets the form of Qwen3-Reranker: the scores are the shares
of "yes" and "no", whose rows are copies of two embeddings, and a template says how a pair is written. Layout of the
file: docs/01-gguf.md."""
import math
import struct
import sys

from gguf_reader import ARRAY, F16, F32, STRING, Reader, aligned, text

UINT32, RANK, YES, NO = 4, 4, 300, 301  # two tokens of any vocabulary
TEMPLATE = b"<s>The answer is yes or no.\n<Query>: {query}\n<Document>: {document}</s>\n"

reader = Reader(sys.argv[1])
is_pair, is_nan = "yes-no" in sys.argv[3:], "nan" in sys.argv[3:]
pooling = None
for _ in range(reader.n_pairs):
    key, kind = reader.take_text(), reader.take("I")
    if key.endswith(b".pooling_type"):
        pooling = reader.position
    reader.take_value(kind)
pairs, n_pairs = reader.data[24 : reader.position], reader.n_pairs
if is_pair:
    pairs = pairs[: pooling - 24] + struct.pack("<I", RANK) + pairs[pooling - 20 :]
    pairs += text(b"qwen3.classifier.output_labels") + struct.pack("<IIQ", ARRAY, STRING, 2) + text(b"yes") + text(b"no")
    pairs += text(b"tokenizer.chat_template.rerank") + struct.pack("<I", STRING) + text(TEMPLATE)
    pairs += text(b"tokenizer.chat_templates") + struct.pack("<IIQ", ARRAY, STRING, 1) + text(b"rerank")
    n_pairs += 3
begin = reader.position
tensors = [reader.take_tensor() for _ in range(reader.n_tensors)]
table = reader.data[begin : reader.position]
body = reader.data[aligned(reader.position) :]
body += bytes(aligned(len(body)) - len(body))
_, shape, _, offset = next(t for t in tensors if t[0] == b"token_embd.weight")
n_embd, n_scores = shape[0], 2 if is_pair else 1
weights = struct.pack(f"<{n_embd}f", *(math.nan if is_nan else math.sin(7 * i) for i in range(n_embd)))
if is_pair:  # they are F16
    weights = b"".join(body[offset + i * 2 * n_embd : offset + (i + 1) * 2 * n_embd] for i in (YES, NO))
table += text(b"cls.output.weight") + struct.pack("<IQQIQ", 2, n_embd, n_scores, F16 if is_pair else F32, len(body))
head = reader.data[:8] + struct.pack("<QQ", reader.n_tensors + 1, n_pairs) + pairs + table
open(sys.argv[2], "wb").write(head + bytes(aligned(len(head)) - len(head)) + body + weights)
