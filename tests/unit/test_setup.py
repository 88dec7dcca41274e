"""`scripts/setup.sh` builds an environment that loads the families of models, or says what it cannot load and why."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

# With torch and all else of the environment that runs the tests, but for its .pth files.
INSTALLED = Path(sysconfig.get_path("purelib"))
PYPROJECT = '[project]\nname = "study"\nversion = "1"\n[tool.setuptools]\npackages = []\n'


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """A directory with the scripts, the torch and torchvision of the CPU lock, and a .venv that has them."""
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    (tmp_path / "envs").mkdir()
    pins = re.findall(r"^torch(?:vision)?==.*\n", (root / "envs/cpu.txt").read_text(encoding="utf-8"), re.MULTILINE)
    (tmp_path / "envs/cpu.txt").write_text("".join(pins), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    (site(tmp_path) / "installed.pth").write_text(f"{INSTALLED}\n", encoding="utf-8")
    return tmp_path


def site(project: Path) -> Path:
    (found,) = (project / ".venv/lib").glob("python*/site-packages")
    return found


def package(project: Path, name: str, version: str, body: str) -> None:
    """Puts a package into the environment as pip would."""
    (site(project) / name).mkdir()
    (site(project) / name / "__init__.py").write_text(body + "\n", encoding="utf-8")
    info = site(project) / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n", "utf-8")


def python(project: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([project / ".venv/bin/python", "-c", code], capture_output=True, text=True, check=False)


def setup(project: Path) -> subprocess.CompletedProcess[str]:
    # All is installed; no index is asked.
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [project / "scripts/setup.sh", "cpu"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **offline},
    )


def test_a_torchvision_of_another_torch_is_made_to_import(project: Path) -> None:
    before = python(project, "import torchvision")
    if before.returncode == 0:
        pytest.skip("torchvision is built for this torch")
    assert "operator torchvision::nms does not exist" in before.stderr
    result = setup(project)
    assert result.returncode == 0, result.stderr
    assert "no CPU build of torchvision is in reach" in result.stdout
    assert "Qwen2.5-VL" in result.stdout
    assert "cannot be loaded" not in result.stdout
    # In the processes that a process starts, too.
    called = "import torch, torchvision; torchvision.ops.nms(torch.rand(1, 4), torch.rand(1), 0.5)"
    child = python(project, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {called!r}])")
    assert "Couldn't load custom C++ ops" in child.stderr
    # To ask whether it is there costs no import of torch.
    asked = (
        "import importlib.util, sys; assert importlib.util.find_spec('torchvision'); assert 'torch' not in sys.modules"
    )
    assert python(project, asked).returncode == 0
    # Nothing is left to do.
    assert setup(project).stdout == ""


def test_a_torchvision_that_cannot_be_imported_stays_and_is_named(project: Path) -> None:
    (pin,) = re.findall("torchvision==(.*)", (project / "envs/cpu.txt").read_text(encoding="utf-8"))
    package(project, "torchvision", pin, "raise OSError('libtorch_cuda.so')")
    result = setup(project)
    assert result.returncode == 1
    assert "torchvision does not import beside this torch: OSError: libtorch_cuda.so" in result.stderr
    assert "no model can be loaded until it does" in result.stderr
    # The next setup looks again.
    assert not (project / ".venv/.locks").exists()
    assert (site(project) / "torchvision").exists()
    assert not list(site(project).glob("torchvision_operators*.pth"))


def test_a_torchaudio_that_does_not_import_is_removed(project: Path) -> None:
    package(project, "torchaudio", "1.0", "raise OSError('libtorch_cuda.so')")
    package(project, "torchcodec", "1.0", "ok = True")
    # As after an install of this very lock.
    files = ["envs/cpu.txt", "pyproject.toml", "scripts/torchvision_operators.py"]
    stamp = subprocess.run(["sha256sum", *files], cwd=project, capture_output=True, check=True).stdout
    (project / ".venv/.locks").write_bytes(stamp)
    result = setup(project)
    assert result.returncode == 0, result.stderr
    assert "torchaudio is installed but does not import beside this torch; removing it" in result.stdout
    assert "torchcodec" not in result.stdout
    assert not (site(project) / "torchaudio").exists()
    assert (site(project) / "torchcodec").exists()


def test_a_family_that_lacks_a_package_is_named_with_it(root: Path) -> None:
    hidden = (
        "import runpy, sys; sys.modules['num2words'] = None; runpy.run_path('scripts/families.py', run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", hidden], cwd=root, capture_output=True, text=True, check=True)
    lacking, loaded = result.stdout.splitlines()
    assert lacking.startswith("setup: SmolVLM cannot be loaded in this environment: Package `num2words` is required")
    assert "Qwen3-VL, Qwen3.5, InternVL3, Idefics3, LLaVA-OneVision, Gemma3 can be loaded" in loaded


@pytest.mark.parametrize("lock", ["cpu", "cuda"])
def test_the_locks_have_what_the_families_need(root: Path, lock: str) -> None:
    pinned = (root / f"envs/{lock}.txt").read_text(encoding="utf-8")
    asked = (root / f"envs/{lock}.in").read_text(encoding="utf-8")
    for name in ("torchvision", "num2words", "docopt", *re.findall(r"^[\w-]+", asked, re.MULTILINE)):
        assert re.search(rf"^{name}==", pinned, re.MULTILINE), name
