#!/usr/bin/env bash
# The tables of Unicode in src/text are what tools/unicode/make_ranges.py makes of the pinned version of the standard.
set -u
cd "$(dirname "$0")/.." || exit 1
said=$(mktemp)
trap 'rm -f "$said"' EXIT
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the tables are the same for a sanitizer: $SANITIZE"

database=/usr/share/unicode
command -v python3 >/dev/null || skip_all 'python3 is missing'
[ -r $database/UnicodeData.txt ] || skip_all 'the Unicode Character Database is missing (Debian: unicode-data)'
pinned=$(sed -n 's/.* from Unicode \([0-9.]*\): do not edit.*/\1/p' src/text/unicode_ranges.c)
grep -q "^# PropList-$pinned.txt" $database/PropList.txt ||
    skip_all "unicode-data is not of Unicode $pinned, from which the tables were made"

made=$(mktemp)
trap 'rm -f "$said" "$made"' EXIT
check 'the script runs' eval 'tools/unicode/make_ranges.py >"$made"'
check 'src/text/unicode_ranges.c is what it makes' diff "$made" src/text/unicode_ranges.c
echo "1..$n"
