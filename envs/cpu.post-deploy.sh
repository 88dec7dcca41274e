#!/bin/bash
# Snakemake runs this in the working directory, inside the new environment.
set -euo pipefail
scripts/install.sh python cpu
