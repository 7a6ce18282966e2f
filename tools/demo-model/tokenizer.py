"""A small SentencePiece-style BPE tokenizer, trained on the stories.

The vocabulary: <unk> <s> </s>, the 256 bytes, the single characters and then the
merged pieces.  A space is written U+2581 and may only begin a piece, and a piece
never mixes letters with other characters, so each word can be encoded alone.

The encoder merges, again and again, the adjacent pair whose text is the piece with
the highest score (the leftmost on ties): what llama.cpp does for GGUF's tokenizer
model "llama".
"""
import collections
import json
import re

SPACE = "\u2581"
UNKNOWN, BEGIN, END = 0, 1, 2
FIRST_BYTE = 3
NORMAL_TYPE, UNKNOWN_TYPE, CONTROL_TYPE, BYTE_TYPE = 1, 2, 3, 6     # as GGUF numbers them

CHARACTERS = SPACE + "".join(chr(code) for code in range(33, 127))
CHUNK = re.compile(f"{SPACE}?(?:[A-Za-z]+|[^A-Za-z{SPACE}\n]+|\n|$)|{SPACE}")


def chunks(text):
    """Cut a text (spaces already U+2581) into the chunks that merges never cross."""
    return [chunk for chunk in CHUNK.findall(text) if chunk]


def merge_pair(symbols, left, right):
    """Replace each adjacent (left, right) in a tuple of symbols by their concatenation."""
    result, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and symbols[i] == left and symbols[i + 1] == right:
            result.append(left + right)
            i += 2
        else:
            result.append(symbols[i])
            i += 1
    return tuple(result)


def train(stories, vocabulary_size):
    """Learn the merges: the most frequent adjacent pair becomes the next piece."""
    counts = collections.Counter()
    for story in stories:
        counts.update(chunks(SPACE + story.replace(" ", SPACE)))
    words = [[tuple(chunk), count] for chunk, count in sorted(counts.items())]
    merges = []
    wanted = vocabulary_size - FIRST_BYTE - 256 - len(CHARACTERS)
    while len(merges) < wanted:
        pairs = collections.Counter()
        for symbols, count in words:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if left + right not in merges:
            merges.append(left + right)
        for word in words:
            if left in word[0] and right in word[0]:
                word[0] = merge_pair(word[0], left, right)
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [UNKNOWN_TYPE, CONTROL_TYPE, CONTROL_TYPE] + [BYTE_TYPE] * 256
    scores = [0.0] * len(tokens)
    for i, character in enumerate(CHARACTERS):
        tokens.append(character)
        scores.append(-float(len(merges) + i + 1))
    for i, piece in enumerate(merges):
        tokens.append(piece)
        scores.append(-float(i))
    types += [NORMAL_TYPE] * (len(tokens) - len(types))
    return Tokenizer(tokens, scores, types)


class Tokenizer:
    def __init__(self, tokens, scores, types):
        self.tokens, self.scores, self.types = tokens, scores, types
        self.ids = {token: i for i, token in enumerate(tokens) if types[i] == NORMAL_TYPE}
        self.known_chunks = {}

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"tokens": self.tokens, "scores": self.scores, "types": self.types}, file)

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        return Tokenizer(data["tokens"], data["scores"], data["types"])

    def encode(self, text, add_space_prefix=True):
        """The ids of a text, without <s> and </s>."""
        ids = []
        if add_space_prefix and text:
            text = " " + text
        for chunk in chunks(text.replace(" ", SPACE)):
            if chunk not in self.known_chunks:
                self.known_chunks[chunk] = self._encode_chunk(chunk)
            ids += self.known_chunks[chunk]
        return ids

    def _encode_chunk(self, chunk):
        symbols = list(chunk)
        while True:
            best = None
            for i in range(len(symbols) - 1):
                merged = self.ids.get(symbols[i] + symbols[i + 1])
                if merged is not None and (best is None or self.scores[merged] > best[0]):
                    best = (self.scores[merged], i)
            if best is None:
                break
            i = best[1]
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        ids = []
        for symbol in symbols:
            if symbol in self.ids:
                ids.append(self.ids[symbol])
            else:
                ids += [FIRST_BYTE + byte for byte in symbol.encode("utf-8")]
        return ids

    def decode(self, ids):
        """The text of ids: control tokens are left out, and so is the first space."""
        data = bytearray()
        for i in ids:
            if self.types[i] == BYTE_TYPE:
                data.append(i - FIRST_BYTE)
            elif self.types[i] == NORMAL_TYPE:
                data += self.tokens[i].replace(SPACE, " ").encode("utf-8")
        text = data.decode("utf-8", errors="replace")
        return text[1:] if text.startswith(" ") else text
