#!/usr/bin/env python3
"""Writes src/base/unicode_case.c, on standard output, from the Unicode Character Database (UAX 44).

    tools/unicode/make_case.py [FOLDER] > src/base/unicode_case.c

FOLDER holds UnicodeData.txt and PropList.txt; by default it is where Debian's package unicode-data puts them.
"""
import re
import sys


def read_maps(path):
    """The code points that have another case: (to upper, to lower) of each, as differences."""
    maps = {}
    for line in open(path, encoding="ascii"):
        fields = line.split(";")
        code_point, upper, lower = int(fields[0], 16), fields[12], fields[13]
        if upper or lower:
            maps[code_point] = (int(upper, 16) - code_point if upper else 0, int(lower, 16) - code_point if lower else 0)
    return maps


def ranges_of(maps):
    """[first, last, step, upper, lower]: code points `step` apart, with the same differences to their other case."""
    ranges = []
    for code_point, (upper, lower) in sorted(maps.items()):
        for found in reversed(ranges[-2:]):
            step = code_point - found[1]
            if found[3:] == [upper, lower] and step <= 2 and (found[0] == found[1] or step == found[2]):
                found[1], found[2] = code_point, step
                break
        else:
            ranges.append([code_point, code_point, 1, upper, lower])
    return sorted(ranges)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    version = re.search(r"PropList-([0-9.]+)\.txt", open(folder + "/PropList.txt", encoding="utf-8").readline())[1]
    print(f"/* Made by tools/unicode/make_case.py from Unicode {version}: do not edit. */")
    print('#include "base/unicode.h"\n')
    print("// clang-format off")
    print("const unicode_case_range unicode_cases[] = {")
    for first, last, step, upper, lower in ranges_of(read_maps(folder + "/UnicodeData.txt")):
        print(f"    {{0x{first:X}, 0x{last:X}, {step}, {upper}, {lower}}},")
    print("};\n")
    print("const size_t n_unicode_cases = sizeof unicode_cases / sizeof *unicode_cases;")


main()
