#!/bin/sh
# The list of families, tests/families.tsv: it has the rows of src/model/families.c, the table of docs/09-families.md
# is made from it, and the models that it names are there for test_families. Prints TAP.
set -u
. tests/support/checks.sh
[ -z "${SANITIZE:-}" ] || skip_all "the sources are the same for a sanitizer: $SANITIZE"
command -v python3 >/dev/null || skip_all "there is no python3"
here=$PWD
room=$(mktemp -d) || exit 1
trap 'rm -rf "$room"' EXIT
said=$room/said

check_list() { python3 "$here/tools/families_table.py" --check; }

# notices FILE SCRIPT TEXT: if sed's SCRIPT changes FILE in a copy of the three files, a message with this TEXT reports
# it.
notices() {
    for file in docs/09-families.md tests/families.tsv src/model/families.c; do
        mkdir -p "$room/${file%/*}" && cp "$file" "$room/$file" || return 1
    done
    sed -i.before "$2" "$room/$1"
    ! (cd "$room" && check_list) >"$room/list" && cat "$room/list" && grep -q "$3" "$room/list"
}

# Every model of the list is in one of the folders.
has_models() {
    awk -F '\t' '!/^#/ { print $2 }' tests/families.tsv | tr ' ' '\n' | sed '/^$/d' >"$room/models"
    [ -s "$room/models" ] || return 1
    while read -r model; do
        [ -f "$shared/families/$model.gguf" ] || [ -f "$shared/families2/$model.gguf" ] || echo "there is no $model.gguf"
    done <"$room/models" >"$room/missing"
    cat "$room/missing"
    [ ! -s "$room/missing" ]
}

# The README says how many there are.
readme_has_number() {
    number=$(grep -vc '^#' tests/families.tsv)
    grep -q "$number architectures" README.md || { echo "README.md does not say '$number architectures'"; return 1; }
}

echo 1..6
check "the list has the rows of the families, and the table is made of it" check_list
check "a line too few in the list is noticed" notices tests/families.tsv '/^granite	/d' "granite of .* is missing"
check "a line too many is noticed" notices tests/families.tsv 's/^gemma2	/gemma99	/' "gemma99 is not in"
check "a table that was edited is noticed" notices docs/09-families.md 's/^| `phi2`/| `phi22`/' "the table is not that of"
check "the README has their number" readme_has_number
shared=${MINICLLM_SHARED:-../shared}
if [ -d "$shared/families" ]; then check "the models of the list are there" has_models; else
    skip "the models of the list are there" "$shared/families is not there"
fi
