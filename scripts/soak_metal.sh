#!/bin/sh
# soak_gpu.sh for Metal: scripts/soak_metal.sh MODEL.gguf [PROMPT]
exec "$(dirname "$0")/soak_gpu.sh" metal "$@"
