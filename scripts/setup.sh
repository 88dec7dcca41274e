#!/bin/bash
# Builds .venv from a lock: `scripts/setup.sh cpu [dev]`. Does nothing where the locks have not changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
locks=()
for name in "${@:-cpu}"; do locks+=("envs/$name.txt"); done

if [ ! -x .venv/bin/python ]; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$version" != 3.11 ]; then
        echo "setup: the locks are for Python 3.11, but $python is $version; give another: make setup PYTHON=python3.11" >&2
        exit 1
    fi
    echo "setup: making .venv"
    "$python" -m venv .venv
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

stamp=.venv/.locks
wanted=$(sha256sum "${locks[@]}" pyproject.toml)
# More than was asked for is as good: `make test` adds to what `make study` needs.
if ! [ -e "$stamp" ] || [ -n "$(grep -vxFf "$stamp" <<<"$wanted")" ]; then
    echo "setup: installing ${locks[*]} (about 2 GB on disk, two minutes)"
    extra=()
    if [ "${1:-cpu}" = cpu ] && ! pip install --quiet --no-deps "$(grep '^torch==' envs/cpu.txt)" 2>/dev/null; then
        echo "setup: the CPU build of torch is not on your index; adding PyTorch's own"
        extra=(--extra-index-url https://download.pytorch.org/whl/cpu)
    fi
    for lock in "${locks[@]}"; do pip install --quiet --no-deps "${extra[@]}" -r "$lock" 2> >(grep -v '^WARNING: Location' >&2); done
    pip install --quiet --no-deps --no-build-isolation -e . 2> >(grep -v '^WARNING: Location' >&2)
    echo "$wanted" >"$stamp"
fi

# Beside a CPU torch these can be CUDA builds, and one that fails to import takes transformers and vLLM down with it.
for package in torchvision torchaudio torchcodec; do
    if compgen -G ".venv/lib/python*/site-packages/$package-*.dist-info" >/dev/null &&
        ! .venv/bin/python -c "import $package" 2>/dev/null; then
        echo "setup: $package is installed but does not import beside this torch; removing it (nothing here needs it)"
        pip uninstall --quiet --yes "$package"
    fi
done
