#!/bin/bash
# Snakemake runs this in the working directory, inside the new environment.
set -euo pipefail
pip install --no-deps -r envs/cpu.txt --extra-index-url https://download.pytorch.org/whl/cpu
pip install --no-deps -e .
