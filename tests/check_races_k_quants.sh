#!/bin/sh
# Races in kernels on matrices of k-quants: tests/check_races_k_quants.sh BUILD. Prints TAP.
set -u
. tests/support/races.sh

check_kind k_quants '' 'Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS Q8_0 IQ4_NL'
