#!/bin/sh
# Races in kernels on matrices of floats: tests/check_races_floats.sh BUILD. Prints TAP.
set -u
. tests/support/races.sh

check_kind floats 'norm_qk' 'F32 F16 BF16'
