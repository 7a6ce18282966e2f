#!/usr/bin/env python3
"""Finds what the kernel text must not contain although some compiler would accept it: lint_kernels.py FILE..., all
files of one text.

The files are read as they are written, with all branches of an #if, except dialect.h, which gives each language its
own words. Each complaint is file:line: what; the exit status is 1 if there is one. tests/check_kernel_text.sh runs
this, and plants a fault for each rule.
"""
import re
import sys

SPACES = {"DEVICE", "LOCAL", "CONSTANT", "PRIVATE"}
THREAD_IDS = {"THREAD", "GROUP_X", "GROUP_Y", "GROUP_Z"}
SCALARS = "void char uchar short ushort int uint i64 float float2 float4 int2 int4 uint2 uint4 signed unsigned KV".split()
QUALIFIERS = {"const", "volatile", "struct"}

# Words that one of the languages lacks, or reserves.
FORBIDDEN = {}
for reason, words in {
    "is not in every language": "goto double long bool size_t ptrdiff_t intptr_t uintptr_t NULL INFINITY NAN",
    "is no type of the dialect: hold 16-bit floats as ushort": "half half2 half4",
    "is a word of Metal's language": "device threadgroup threadgroup_imageblock thread constant kernel vertex fragment"
    " ray_data object_data mesh sampler metal",
    "is a word of OpenCL C": "global local private generic read_only write_only read_write pipe event_t uniform vec_step",
    "is a word of CUDA": "threadIdx blockIdx blockDim gridDim warpSize dim3",
    "is a word of C++": "alignas alignof and and_eq asm auto bitand bitor catch char8_t char16_t char32_t class compl"
    " concept const_cast consteval constexpr constinit co_await co_return co_yield decltype delete dynamic_cast explicit"
    " export friend mutable namespace new noexcept not not_eq nullptr operator or or_eq protected public reinterpret_cast"
    " requires static_assert static_cast template this thread_local throw try typeid typename using virtual wchar_t xor"
    " xor_eq",
    "is what FN and KERNEL say": "static inline extern register",
    "is an extension of C alone": "restrict _Bool _Generic _Static_assert _Atomic",
}.items():
    for word in words.split():
        FORBIDDEN[word] = reason

TOKEN = re.compile(r"""[A-Za-z_]\w* | 0[xX][0-9a-fA-F]+\w* | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w* | "(?:\\.|[^"\\])*"
    | [-+*/%&|^<>=!]= | << | >> | && | \|\| | -> | \+\+ | -- | \S""", re.X)
NAME = re.compile(r"[A-Za-z_]\w*$")
FLOAT = re.compile(r"(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?(\w*)$")


class Token:
    def __init__(self, text, file, line):
        self.text, self.file, self.line = text, file, line


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def tokens_of(file, text):
    """The tokens of the code, and the macros: name -> tokens of its body."""
    code, macros = [], []
    continued = None
    for number, line in enumerate(without_comments(text).split("\n"), 1):
        tokens = [Token(t, file, number) for t in TOKEN.findall(line.rstrip("\\"))]
        if continued is not None:
            continued.extend(tokens)
        elif line.lstrip().startswith("#"):
            words = [t.text for t in tokens]
            if words[1:2] == ["define"]:
                macros.append((words[2], tokens[3:]))
                continued = macros[-1][1]
            else:
                continued = []  # a condition: compilers' own names are allowed in it
        else:
            code.extend(tokens)
        if not line.endswith("\\"):
            continued = None
    return code, macros


def closing(tokens, start):
    """The place of the bracket that closes the one at start."""
    depth = 0
    for i in range(start, len(tokens)):
        depth += (tokens[i].text in "([{") - (tokens[i].text in ")]}")
        if depth == 0:
            return i
    return len(tokens) - 1


class Lint:
    def __init__(self):
        self.complaints = []
        self.types = set(SCALARS)
        self.calls = {}  # function or macro -> {name: token}

    def complain(self, token, what):
        self.complaints.append((token.file, token.line, what))

    def words(self, tokens):
        for i, t in enumerate(tokens):
            text = t.text
            behind_dot = i > 0 and tokens[i - 1].text in (".", "->")
            if text in FORBIDDEN and not behind_dot:
                self.complain(t, f"{text} {FORBIDDEN[text]}")
            elif text.startswith("__") or re.match(r"_[A-Z]", text) and text != "_Pragma":
                self.complain(t, f"{text} is a compiler's own name: dialect.h is the place for it")
            number = FLOAT.match(text)
            if number and number.group(3) != "f":
                self.complain(t, f"{text} is a double: floats end in f")

    def pointers(self, tokens):
        """A type's name before a * begins a pointer. An address space must stand before it, and nowhere else."""
        for i, t in enumerate(tokens):
            if t.text == "*":
                start = i
                while start > 0 and (tokens[start - 1].text in self.types or tokens[start - 1].text in QUALIFIERS):
                    start -= 1
                named = any(x.text in self.types for x in tokens[start:i])
                if named and not (start > 0 and tokens[start - 1].text in SPACES):
                    self.complain(t, "a pointer that does not say what memory it points to")
                if named and i + 1 < len(tokens) and tokens[i + 1].text in {"*", "const"}:
                    self.complain(t, "a pointer to a pointer, or a const one: say it otherwise")
            elif t.text in SPACES:
                end = i + 1
                while end < len(tokens) and (tokens[end].text in self.types or tokens[end].text in QUALIFIERS):
                    end += 1
                if end < len(tokens) and tokens[end].text != "*":
                    self.complain(t, f"{t.text} of something that is no pointer to a type known here")

    def parameters(self, tokens):
        for t in tokens:
            if t.text == "[":
                self.complain(t, "an array as a parameter: write the pointer, with its memory")

    def called(self, name, tokens):
        """A name before a ( is a call, and JOIN(prefix_, x) calls every function that begins with the prefix."""
        found = self.calls.setdefault(name, {})
        for i, t in enumerate(tokens[:-1]):
            if t.text == "JOIN" and i + 2 < len(tokens):
                found[tokens[i + 2].text + "*"] = t
            elif NAME.match(t.text) and tokens[i + 1].text == "(":
                found[t.text] = t

    def kernel(self, body):
        """Declarations of the group's memory come first."""
        only_arrays, i = True, 1
        while i < len(body):
            if body[i].text == "LOCAL_ARRAY":
                if not only_arrays:
                    self.complain(body[i], "LOCAL_ARRAY anywhere but at the top of a kernel")
                i = closing(body, i + 1) + 1  # the semicolon
            elif body[i].text != ";":
                only_arrays = False
            i += 1

    def outside_kernels(self, tokens):
        for t in tokens:
            if t.text in THREAD_IDS:
                self.complain(t, f"{t.text} outside of a kernel's body")
            if t.text == "LOCAL_ARRAY":
                self.complain(t, "LOCAL_ARRAY anywhere but at the top of a kernel")

    def definitions(self, tokens):
        """Walks over the definitions at the top level."""
        i = 0
        while i < len(tokens):
            t = tokens[i]
            if t.text not in ("FN", "KERNEL"):
                stop = i
                while stop < len(tokens) and tokens[stop].text not in ("FN", "KERNEL"):
                    if tokens[stop].text == "(" and stop > i and tokens[stop - 1].text != "TABLE":
                        self.complain(tokens[stop], "a function without FN or KERNEL")
                    stop += 1
                self.outside_kernels(tokens[i:stop])
                i = stop
                continue
            kernel = t.text == "KERNEL"
            opening = i + 1
            while tokens[opening].text != "(":
                opening += 1
            name = tokens[opening + 1].text if kernel else tokens[opening - 1].text
            if name == "JOIN":  # FN type JOIN(a_, b)(parameters)
                name = tokens[opening + 1].text
                opening = closing(tokens, opening) + 1
            end = closing(tokens, opening)
            parameters = tokens[opening : end + 1]
            self.outside_kernels(parameters)
            if not kernel:
                self.parameters(parameters)
            if end + 1 >= len(tokens) or tokens[end + 1].text != "{":
                self.complain(t, "a function without its body")
                i = end + 1
                continue
            last = closing(tokens, end + 1)
            body = tokens[end + 1 : last + 1]
            self.called(name, body)
            if kernel:
                self.kernel(body)
            else:
                self.outside_kernels(body)
            i = last + 1

    def recursion(self):
        def reaches(name):
            for called in self.calls.get(name, {}):
                if called.endswith("*"):
                    yield from (f for f in self.calls if f.startswith(called[:-1]))
                elif called in self.calls:
                    yield called

        for start in self.calls:
            seen, todo = set(), list(reaches(start))
            while todo:
                name = todo.pop()
                if name not in seen:
                    seen.add(name)
                    todo.extend(reaches(name))
            if start in seen:
                token = next(iter(self.calls[start].values()))
                self.complain(token, f"{start} calls itself, directly or by others")

    def run(self, files):
        read = [(file, *tokens_of(file, open(file, encoding="utf-8").read())) for file in files]
        for _, code, _ in read:
            texts = [t.text for t in code]
            for i, text in enumerate(texts):
                if text == "typedef":  # typedef struct name { .. } name;
                    while texts[i] != ";":
                        i = closing(code, i) + 1 if texts[i] == "{" else i + 1
                    self.types.add(texts[i - 1])
        for _, code, macros in read:
            self.words(code)
            self.pointers(code)
            self.definitions(code)
            for name, body in macros:
                self.words(body)
                self.pointers(body)
                self.outside_kernels(body)
                self.called(name, body)
        self.recursion()
        for file, line, what in sorted(set(self.complaints)):
            print(f"{file}:{line}: {what}")
        return 1 if self.complaints else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: lint_kernels.py FILE...")
    sys.exit(Lint().run(sys.argv[1:]))
