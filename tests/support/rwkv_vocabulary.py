#!/usr/bin/env python3
"""Write a file with a vocabulary of RWKV's kind: rwkv_vocabulary.py OUT.gguf SOURCE

SOURCE is the list that RWKV publishes (rwkv_vocab_*.txt: id, Python literal, length), or any text: then the
vocabulary has all bytes, and some pieces of that text.
"""
import ast
import random
import struct
import sys

STRING, INT32, UINT32, ARRAY = 8, 5, 4, 9
NORMAL, CONTROL, UNUSED = 1, 3, 5


def string(data):
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    return string(name.encode()) + struct.pack("<I", kind) + value


def published(lines):
    for line in lines:
        literal = ast.literal_eval(line[line.index(" "):line.rindex(" ")].strip())
        yield literal.encode() if isinstance(literal, str) else literal


def pieces_of(data):
    draw = random.Random(7)
    pieces = {bytes([byte]) for byte in range(256)}
    while len(pieces) < 3000:
        at = draw.randrange(len(data))
        pieces.add(data[at:at + draw.randint(2, 16)])
    return sorted(pieces - {b"<s>"})  # which is special


def main(out, source):
    with open(source, "rb") as file:
        data = file.read()
    pieces = list(published(data.decode().rstrip("\n").split("\n"))) if data.startswith(b"1 ") else pieces_of(data)
    tokens = [b"<s>"] + [repr(piece)[2:-1].encode() for piece in pieces]
    types = [CONTROL] + [NORMAL] * len(pieces)
    while len(tokens) % 64:
        tokens.append(b"[PAD%d]" % len(tokens))
        types.append(UNUSED)
    keys = [key("general.architecture", STRING, string(b"rwkv7")),
            key("tokenizer.ggml.model", STRING, string(b"rwkv")),
            key("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", STRING, len(tokens)) + b"".join(map(string, tokens))),
            key("tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ%di" % len(types), INT32, len(types), *types)),
            key("tokenizer.ggml.bos_token_id", UINT32, struct.pack("<I", 0)),
            key("tokenizer.ggml.eos_token_id", UINT32, struct.pack("<I", 0))]
    with open(out, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))


main(*sys.argv[1:])
