#!/bin/bash
# Snakemake runs this in the working directory, inside the new environment.
set -euo pipefail
pip install --no-deps -r envs/cuda.txt
pip install --no-deps -e .
