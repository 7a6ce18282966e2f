#!/usr/bin/env python3
"""Writes src/base/unicode_ranges.c, on standard output, from the Unicode Character Database (UAX 44).

    tools/unicode/make_ranges.py [FOLDER] > src/base/unicode_ranges.c

FOLDER holds UnicodeData.txt, PropList.txt and Scripts.txt; by default it is where Debian's package unicode-data puts them.
src/base/unicode.h says what a class means. Its numbers are repeated below.
"""
import re
import sys

# The categories of Unicode by the number of their class; what is not listed is UNASSIGNED, 0.
CLASSES = {"Lu": 2, "Lt": 2, "Ll": 3, "Lm": 4, "Lo": 4, "Mn": 5, "Mc": 5, "Me": 5, "Nd": 6, "Nl": 7, "No": 7,
           "Pc": 8, "Pd": 9, "Ps": 9, "Pe": 9, "Pi": 9, "Pf": 9, "Po": 9, "Sm": 10, "Sc": 10, "Sk": 10, "So": 10,
           "Zs": 1, "Zl": 1, "Zp": 1, "Cc": 1, "Cf": 1, "Cs": 1, "Co": 1}
WHITE, HAN, NONSPACING = 1 << 4, 1 << 5, 1 << 6
N_CODE_POINTS = 0x110000


def read_categories(path, classes):
    first = 0
    for line in open(path, encoding="ascii"):
        fields = line.split(";")
        code_point, name, category = int(fields[0], 16), fields[1], fields[2]
        if name.endswith(", First>"):
            first = code_point
            continue
        if not name.endswith(", Last>"):
            first = code_point
        for each in range(first, code_point + 1):
            classes[each] = CLASSES[category] | (NONSPACING if category == "Mn" else 0)


def add_property(path, name, bit, classes):
    for line in open(path, encoding="utf-8"):
        found = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*" + name + r"\b", line)
        if found:
            for each in range(int(found[1], 16), int(found[2] or found[1], 16) + 1):
                classes[each] |= bit


def version_of(path):
    return re.search(r"PropList-([0-9.]+)\.txt", open(path, encoding="utf-8").readline())[1]


def print_array(name, values, a_line):
    print(name + " = {")
    for at in range(0, len(values), a_line):
        print("    " + " ".join(f"0x{each:X}," for each in values[at:at + a_line]))
    print("};\n")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    classes = [0] * N_CODE_POINTS
    read_categories(folder + "/UnicodeData.txt", classes)
    add_property(folder + "/PropList.txt", "White_Space", WHITE, classes)
    add_property(folder + "/Scripts.txt", "Han", HAN, classes)

    print(f"/* Made by tools/unicode/make_ranges.py from Unicode {version_of(folder + '/PropList.txt')}: do not edit. */")
    print('#include "base/unicode.h"\n')
    print("// clang-format off")
    print_array("const unsigned char unicode_ascii[128]", classes[:128], 16)
    print_array("const uint32_t unicode_ranges[]", [at << 8 | classes[at] for at in range(N_CODE_POINTS)
                                                    if at == 0 or classes[at] != classes[at - 1]], 10)
    print("// clang-format on\n")
    print("const size_t n_unicode_ranges = sizeof unicode_ranges / sizeof *unicode_ranges;")


if __name__ == "__main__":
    main()
