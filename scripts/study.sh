#!/bin/bash
# Runs a study to its end and prints its table: `scripts/study.sh config.yaml`.
set -euo pipefail
cd "$(dirname "$0")/.."
study=${1:-config.yaml}
snakemake --workflow-profile profiles/local --configfile "$study"
reassess show "$study"
