"""Cells of images: every form in which one is written, and no path that leads out of the folder."""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_pools import png

from reassess.sources.pictures import below, pictures
from reassess.sources.values import RowError

RED, BLUE = png("red"), png("blue")
TEXT = base64.b64encode(RED).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "images/a.png").write_bytes(RED)
    (folder / "images/b c.png").write_bytes(BLUE)
    (tmp_path / "secret.png").write_bytes(BLUE)
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2/secret.png").write_bytes(BLUE)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inner.png").symlink_to(folder / "images/a.png")
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    return folder


FORMS: list[tuple[Any, tuple[bytes, ...]]] = [
    (None, ()),
    ("", ()),
    (" ", ()),
    (float("nan"), ()),
    ([], ()),
    (np.array([]), ()),
    ({"bytes": None, "path": None}, ()),
    (RED, (RED,)),
    (bytearray(RED), (RED,)),
    ({"bytes": RED, "path": "nowhere.png"}, (RED,)),
    ({"bytes": None, "path": "images/a.png"}, (RED,)),
    ("images/a.png", (RED,)),
    ("/images/a.png", (RED,)),
    ("file:///images/b%20c.png", (BLUE,)),
    ("file://images/a.png", (RED,)),
    (r"images\a.png", (RED,)),
    ("inner.png", (RED,)),
    ("images/../images/a.png", (RED,)),
    (f"data:image/png;base64,{TEXT}", (RED,)),
    (TEXT, (RED,)),
    (TEXT[:50] + "\n" + TEXT[50:], (RED,)),
    (["images/a.png", BLUE, {"bytes": RED, "path": None}], (RED, BLUE, RED)),
    (np.array(["images/a.png", "images/b c.png"], dtype=object), (RED, BLUE)),
    (str([TEXT, TEXT]), (RED, RED)),
    (f'["{TEXT}", "images/a.png"]', (RED, RED)),
    ("[]", ()),
]


@pytest.mark.parametrize(("cell", "wanted"), FORMS)
def test_a_picture_is_read_in_every_form(folder: Path, cell: Any, wanted: tuple[bytes, ...]) -> None:
    assert pictures(cell, "image", functools.partial(below, folder)) == wanted


def test_an_absolute_path_may_lie_inside(folder: Path) -> None:
    assert below(folder, str(folder / "images/a.png")) == RED


OUT, NONE = "the path leads out of the folder of images", "no such image file"
REFUSED: list[tuple[Any, str]] = [
    ("../secret.png", OUT),
    ("images/../../secret.png", OUT),
    ("/etc/hostname", OUT),
    ("file:///etc/hostname", OUT),
    ("file://../secret.png", OUT),
    ("file:///%2e%2e/secret.png", OUT),
    (r"..\secret.png", OUT),
    ("../data2/secret.png", OUT),
    ("link.png", OUT),
    ("out/secret.png", OUT),
    ({"bytes": None, "path": "../secret.png"}, OUT),
    (["images/a.png", "../secret.png"], OUT),
    ("['../secret.png']", OUT),
    ("images", NONE),
    ("nowhere.png", NONE),
    ("~/a.png", NONE),
    ("loop", "the image file cannot be read"),
    ("a\0.png", "the image file cannot be read"),
    ("a." * 3000, "the image file cannot be read"),
    ("https://example.org/a.png", "the address of an image on the web: download it first"),
    ("data:image/svg+xml,<svg/>", "a data: URI that is not base64"),
    ("data:image/png;base64,???", "not base64"),
    ("A" * 65, "not base64"),
    (["images/a.png", None], "an empty value in a list"),
    ([""], "an empty value in a list"),
    (7, "not an image"),
    (True, "not an image"),
    ([[0, 255], [255, 0]], "not an image"),
    ({"url": "a.png"}, "not an image"),
]


@pytest.mark.parametrize(("cell", "reason"), REFUSED)
def test_what_is_no_picture_of_the_folder_is_refused(folder: Path, cell: Any, reason: str) -> None:
    with pytest.raises(RowError) as error:
        pictures(cell, "image", functools.partial(below, folder))
    assert (error.value.reason, error.value.column) == (reason, "image")
