#!/usr/bin/env bash
# The tables of Unicode are what the scripts of tools/unicode make from the pinned version of the standard.
set -u
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/.." || exit 1
said=$(mktemp)
trap 'rm -f "$said"' EXIT
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the tables are the same for a sanitizer: $SANITIZE"

database=/usr/share/unicode
command -v python3 >/dev/null || skip_all 'python3 is missing'
[ -r $database/UnicodeData.txt ] || skip_all 'the Unicode Character Database is missing (Debian: unicode-data)'
pinned=$(sed -n 's/.* from Unicode \([0-9.]*\): do not edit.*/\1/p' src/base/unicode_ranges.c src/base/unicode_case.c src/text/unicode_compositions.c |
    sort -u | xargs)
grep -q "^# PropList-${pinned%% *}.txt" $database/PropList.txt ||
    skip_all "unicode-data is not of Unicode $pinned, from which the tables were made"

check 'one version of the standard made all tables' [ "$(echo "$pinned" | wc -w)" -eq 1 ]
made=$(mktemp)
trap 'rm -f "$said" "$made"' EXIT
for table in ranges/base/unicode_ranges case/base/unicode_case normalization/text/unicode_compositions; do
    check "make_${table%%/*}.py runs" eval 'tools/unicode/make_${table%%/*}.py >"$made"'
    check "src/${table#*/}.c is what it makes" diff "$made" "src/${table#*/}.c"
done
echo "1..$n"
