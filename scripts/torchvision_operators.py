"""Lets a CUDA build of torchvision be imported beside a CPU build of torch.

Such a build cannot load its compiled library, and its import then fails at the two operators that it describes to
torch without a check (torchvision/_meta_registrations.py). With both declared the import passes, and all that is
written in Python works: the transforms, so the image and video processors of transformers. What is compiled stays
unusable, and says so when it is called (`torchvision.ops.nms`: "Couldn't load custom C++ ops").

`scripts/setup.sh` copies this module into site-packages, where a .pth file imports it in every process that starts.
So it costs next to nothing until torchvision is imported, and does nothing where torchvision's library loads.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

OPERATORS = ("nms", "qnms")
kept: list[object] = []  # A torch.library.Library takes its operators with it when it is collected.


def declare(file: str) -> None:
    """Declares `OPERATORS`, without a kernel, where the library beside `file` does not load into a CPU torch."""
    from pathlib import Path

    import torch

    if torch.version.cuda is not None or kept:
        return
    try:
        torch.ops.load_library(Path(file).with_name("_C.so"))
    except OSError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        kept.append(library)


class Loader(SourceFileLoader):
    def exec_module(self, module: object) -> None:
        declare(self.path)
        super().exec_module(module)  # type: ignore[arg-type]


class Finder:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name)
        # Only the import itself declares: transformers asks for the spec to learn whether torchvision is installed.
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
