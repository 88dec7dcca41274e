#!/bin/bash
# Tests on two workers, all without arguments. `scripts/test.sh tests/unit -k judge` passes them on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

# One test compiles the LaTeX tables.
if ! command -v pdflatex >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "test: installing LaTeX"
    apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends texlive-latex-base texlive-latex-recommended >/dev/null ||
        echo "test: LaTeX cannot be installed here; the test that compiles the tables is skipped"
fi

# Some tests play a Slurm cluster on this machine.
lacking=()
for program in slurmctld slurmd munged srun; do PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || lacking+=("$program"); done
if [ ${#lacking[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "test: installing Slurm"
    apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null ||
        echo "test: Slurm cannot be installed here; the tests that play a cluster are skipped"
fi

# Torch on two threads beside another worker is slower than on one, by far.
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE HF_HUB_OFFLINE=1
exec .venv/bin/python -m pytest -n 2 --dist loadfile --durations=15 "${@:-tests}"
