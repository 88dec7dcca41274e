"""`scripts/setup.sh` removes a torchvision that does not import, and says so."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path


def test_a_torchvision_that_does_not_import_is_removed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "envs").mkdir()
    shutil.copy(root / "scripts/setup.sh", tmp_path / "scripts")
    (tmp_path / "envs/cpu.txt").write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text("# nothing\n")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / ".venv")], check=True)
    # As after an install of this very lock: nothing is left to install.
    stamp = hashlib.sha256(b"# nothing\n").hexdigest()
    (tmp_path / ".venv/.locks").write_text(f"{stamp}  envs/cpu.txt\n{stamp}  pyproject.toml\n")
    (site,) = (tmp_path / ".venv/lib").glob("python*/site-packages")
    for package, body in (("torchvision", "raise OSError('libtorch_cuda.so')"), ("torchaudio", "ok = True")):
        (site / package).mkdir()
        (site / package / "__init__.py").write_text(body + "\n")
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{package}/__init__.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    result = subprocess.run([str(tmp_path / "scripts/setup.sh"), "cpu"], capture_output=True, text=True, check=True)
    assert "torchvision is installed but does not import beside this torch; removing it" in result.stdout
    assert "torchaudio" not in result.stdout
    assert not (site / "torchvision").exists()
    assert (site / "torchaudio").exists()
