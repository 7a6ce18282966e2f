#!/usr/bin/env python3
"""Writes src/text/unicode_compositions.c, on standard output, from the Unicode Character Database (UAX 44).

    tools/unicode/make_normalization.py [FOLDER] > src/text/unicode_compositions.c

FOLDER holds UnicodeData.txt, DerivedNormalizationProps.txt and PropList.txt; by default it is where Debian's package
unicode-data puts them. What the tables mean is in src/text/unicode_normalize.h. Hangul syllables are not in them,
because arithmetic composes these.
"""
import re
import sys

from make_ranges import N_CODE_POINTS, print_array, version_of

UNSETTLED = 1 << 8  # beside the combining class: NFC_Quick_Check is No or Maybe
BLOCK, END_OF_BLOCKS = 16, 0x20000


def read_characters(path):
    """The canonical combining class of each code point, and the canonical decompositions."""
    combining, decompositions = [0] * N_CODE_POINTS, {}
    for line in open(path, encoding="ascii"):
        fields = line.split(";")
        code_point, mapping = int(fields[0], 16), fields[5]
        combining[code_point] = int(fields[3])
        if mapping and not mapping.startswith("<"):
            decompositions[code_point] = [int(each, 16) for each in mapping.split()]
    return combining, decompositions


def having(path, pattern):
    """The code points of the lines with this property."""
    for line in open(path, encoding="utf-8"):
        found = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*" + pattern, line)
        if found:
            yield from range(int(found[1], 16), int(found[2] or found[1], 16) + 1)


def print_lines(name, entries, a_line):
    print(name + " = {")
    for at in range(0, len(entries), a_line):
        print("    " + " ".join(entries[at:at + a_line]))
    print("};\n")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    properties = folder + "/DerivedNormalizationProps.txt"
    traits, decompositions = read_characters(folder + "/UnicodeData.txt")
    for each in having(properties, "NFC_QC; [NM]"):
        traits[each] |= UNSETTLED
    excluded = set(having(properties, "Full_Composition_Exclusion"))

    composites = sorted(decompositions)
    pairs = [decompositions[each] + [0] * (2 - len(decompositions[each])) for each in composites]
    assert all(len(pair) == 2 and pair[1] not in decompositions for pair in pairs)
    primary = sorted((i for i, each in enumerate(composites) if each not in excluded), key=lambda i: pairs[i])
    blocks = [int(any(traits[at:at + BLOCK])) for at in range(0, END_OF_BLOCKS, BLOCK)]
    assert not any(traits[:0x300])  # unicode_normalize.c skips these

    def n_bytes(code_points):
        return len("".join(map(chr, code_points)).encode())

    def decomposed(code_point):
        parts = decompositions.get(code_point)
        return decomposed(parts[0]) + parts[1:] if parts else [code_point]

    assert all(n_bytes(decomposed(each)) <= 3 * n_bytes([each]) for each in composites)
    assert all(n_bytes([composites[i]]) <= n_bytes(pairs[i]) for i in primary)  # so that composing makes nothing longer

    version = version_of(folder + "/PropList.txt")
    print(f"/* Made by tools/unicode/make_normalization.py from Unicode {version}: do not edit. */")
    print('#include "text/unicode_normalize.h"\n')
    print("// clang-format off")
    print_array("const uint32_t unicode_trait_ranges[]", [at << 9 | traits[at] for at in range(N_CODE_POINTS)
                                                          if at == 0 or traits[at] != traits[at - 1]], 10)
    print_array("const uint8_t unicode_trait_blocks[1024]",
                [sum(bit << i for i, bit in enumerate(blocks[at:at + 8])) for at in range(0, len(blocks), 8)], 20)
    print_lines("const unicode_pair unicode_pairs[]",
                [f"{{0x{each:X}, 0x{first:X}, 0x{second:X}}}," for each, (first, second) in zip(composites, pairs)], 4)
    print_array("const uint16_t unicode_composites[]", primary, 16)
    print("// clang-format on\n")
    for name, array in (("n_unicode_trait_ranges", "unicode_trait_ranges"), ("n_unicode_pairs", "unicode_pairs"),
                        ("n_unicode_composites", "unicode_composites")):
        print(f"const size_t {name} = sizeof {array} / sizeof *{array};")


if __name__ == "__main__":
    main()
