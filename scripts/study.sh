#!/bin/bash
# Runs a study to its end and prints its table: `scripts/study.sh config.yaml`.
set -euo pipefail
cd "$(dirname "$0")/.."
study=${1:-config.yaml}

# A Snakemake that was killed leaves its lock, and its jobs may still be at work. Whoever is alive here keeps the lock.
if compgen -G ".snakemake/locks/*" >/dev/null && command -v pgrep >/dev/null; then
    alive=()
    for pid in $(pgrep -f '(^|[ /])(snakemake|reassess)( |$)' || true); do
        [ "$pid" = $$ ] || [ "$pid" = $PPID ] || [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" != "$PWD" ] ||
            grep -qa 'study.sh\|make' "/proc/$pid/cmdline" || alive+=("$pid")
    done
    if [ ${#alive[@]} -gt 0 ]; then
        echo "study: a run is under way in this directory, or jobs of one that was killed (processes ${alive[*]}); wait for them or end them" >&2
        exit 1
    fi
    echo "study: removing the lock of a run that was killed"
    snakemake --unlock --configfile "$study" >/dev/null 2>&1
fi
snakemake --workflow-profile profiles/local --configfile "$study"
reassess show "$study"
