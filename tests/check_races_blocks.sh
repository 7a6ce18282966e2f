#!/bin/sh
# Races in kernels on matrices of plain blocks, with norms of queries and keys, and caps: tests/check_races_blocks.sh
# BUILD. Prints TAP.
set -u
. tests/support/races.sh

check_kind blocks 'norm_qk cap' 'Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL'
