#!/bin/bash
# Installs locks for a Python, and says which models it can load: `scripts/install.sh PYTHON cpu [dev]`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift

pip() { "$python" -m pip --disable-pip-version-check "$@" 2> >(grep -v '^WARNING: Location' >&2); }
imports_torchvision() { "$python" -c 'import torchvision' 2>&1; }

extra=()
if [ "$1" = cpu ]; then
    pytorch=(--extra-index-url https://download.pytorch.org/whl/cpu)
    if ! pip install --quiet --no-deps "$(grep '^torch==' envs/cpu.txt)" 2>/dev/null; then
        echo "setup: the CPU build of torch is not on your index; adding PyTorch's own"
        extra=("${pytorch[@]}")
    fi
    torchvision="$(grep '^torchvision==' envs/cpu.txt)+cpu"
    pip install --quiet --no-deps "$torchvision" 2>/dev/null ||
        pip install --quiet --no-deps --retries 0 --timeout 10 "${pytorch[@]}" "$torchvision" 2>/dev/null ||
        echo "setup: no CPU build of torchvision is in reach; taking the build of your index"
fi
for lock in "$@"; do pip install --quiet --no-deps "${extra[@]}" -r "envs/$lock.txt"; done
pip install --quiet --no-deps --no-build-isolation -e .

site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
hook=$site/torchvision_operators.pth
if [ -e "$hook" ] || ! imports_torchvision >/dev/null; then
    cp scripts/torchvision_operators.py "$site"
    echo "import torchvision_operators" >"$hook"
    if ! reason=$(imports_torchvision); then
        rm "$hook"
        echo "setup: torchvision does not import beside this torch: ${reason##*$'\n'}" >&2
        echo "setup: no model can be loaded until it does; install a build of torchvision for this torch, or uninstall it" \
            "and go without the families that need it (Qwen-VL, InternVL, SmolVLM, LLaVA-OneVision)" >&2
        exit 1
    fi
fi
"$python" scripts/families.py || echo "setup: which families of models can be loaded is not known"
