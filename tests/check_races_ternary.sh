#!/bin/sh
# Races in kernels on matrices of ternary weights and of four-bit floats: tests/check_races_ternary.sh BUILD. Prints
# TAP.
set -u
. tests/support/races.sh

check_kind ternary '' 'TQ1_0 TQ2_0 MXFP4 NVFP4'
