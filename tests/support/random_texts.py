"""Random texts for tokenizers: random_texts.py SEED COUNT FILE [simple] [CHARACTERS] writes COUNT texts with a byte 1E
between them: words of many languages, runs of spaces and line feeds, numbers, code, marks and any other characters,
and pieces of FILE. "simple" leaves out characters that BERT and llama.cpp split differently: Hangul, spacing marks,
and characters that the Unicode of this Python does not have. CHARACTERS are left out, too."""
import random
import sys
import unicodedata

WORDS = """the of and Hello WORLD don't I'll they've naïve café Ünïcödé über straße Ελλάδα привет мир Москва שלום עולם مرحبا بالعالم नमस्ते
दुनिया สวัสดี 日本語 テスト 한국어 안녕하세요 中文 测试 for(int i=0;i<n;i++) foo_bar camelCase HTTPServer 3.14159 1,000,000 2026-11-29 x^2 e=mc² ½ ﬁ １２
ＡＢ ㎏ ™ … — “quoted” ‘single’ 👍 👩‍👩‍👧 🇩🇪 e\u0301 a\u0308o\u0302 \u1100\u1161 \u00A0 \u2003 \u200B \u00AD <html> </s> <s> [CLS] <mask> <0x41> \u2581 #tag @user a/b\\c $1""".split(" ")
WORDS = [w for word in WORDS for w in (word.split("\n") if "\n" in word else [word])]
BLANKS = [" "] * 12 + ["  ", "   ", " " * 9, "\n", "\n\n", "\n\n\n\n", " \n", "\n ", "\t", "\t\t", "\r\n", ""]
RANGES = [(0x20, 0x7E)] * 6 + [(0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0x1E00, 0x1FFF),
          (0x2000, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFEF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF)]


def word(draw, lines):
    kind = draw.random()
    if kind < 0.45:
        return draw.choice(WORDS)
    if kind < 0.6 and lines:
        line = draw.choice(lines)
        start = draw.randrange(len(line) + 1)
        return line[start : start + draw.randrange(30)]
    first, last = draw.choice(RANGES)
    return "".join(chr(draw.randint(first, last)) for _ in range(draw.randrange(1, 8)))


def is_hard(character):
    parts = unicodedata.normalize("NFD", character)
    return "\u1100" <= parts[0] < "\u1200" or any(unicodedata.category(part) in ("Mc", "Me", "Cn") for part in parts)


def main():
    draw = random.Random(int(sys.argv[1]))
    lines = open(sys.argv[3], encoding="utf-8").read().split("\n")
    texts = ["".join(word(draw, lines) + draw.choice(BLANKS) for _ in range(draw.randrange(1, 25))) for _ in range(int(sys.argv[2]))]
    simple, without = "simple" in sys.argv[4:], "\x1e" + "".join(word for word in sys.argv[4:] if word != "simple")
    texts = ["".join(c for c in text if c not in without and not (simple and is_hard(c))) for text in texts]
    sys.stdout.buffer.write("\x1e".join(texts).encode())


main()
