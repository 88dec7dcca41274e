#!/bin/bash
# Builds .venv from a lock: `scripts/setup.sh cpu [dev]`. Does nothing where the locks have not changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- cpu
locks=()
for name in "$@"; do locks+=("envs/$name.txt"); done

if [ ! -x .venv/bin/python ]; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$version" != 3.11 ]; then
        echo "setup: the locks are for Python 3.11, but $python is $version; give another: make setup PYTHON=python3.11" >&2
        exit 1
    fi
    echo "setup: making .venv"
    "$python" -m venv .venv
fi

stamp=.venv/.locks
wanted=$(sha256sum "${locks[@]}" pyproject.toml scripts/torchvision_operators.py)
# More than was asked for is as good: `make test` adds to what `make study` needs.
if ! [ -e "$stamp" ] || [ -n "$(grep -vxFf "$stamp" <<<"$wanted")" ]; then
    echo "setup: installing ${locks[*]} (some minutes; 4 GB on disk, 10 GB for cuda)"
    scripts/install.sh .venv/bin/python "$@"
    echo "$wanted" >"$stamp"
fi

# Beside a CPU torch these can be CUDA builds, and one that fails to import takes transformers and vLLM down with it.
for package in torchaudio torchcodec; do
    if compgen -G ".venv/lib/python*/site-packages/$package-*.dist-info" >/dev/null &&
        ! .venv/bin/python -c "import $package" 2>/dev/null; then
        echo "setup: $package is installed but does not import beside this torch; removing it (nothing here needs it)"
        .venv/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes "$package"
    fi
done
