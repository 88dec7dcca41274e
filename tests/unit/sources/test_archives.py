"""Pictures in zip archives: what is damaged, or says that it is endless, puts its row aside."""

from __future__ import annotations

import io
import zipfile

import pytest

from reassess.example import RowError
from reassess.sources import archives
from reassess.sources.archives import Pictures

PICTURE = bytes(range(256)) * 40


def zipped(compression: int) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("images/a.png", PICTURE)
    return file


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_puts_its_row_aside(compression: int) -> None:
    file = zipped(compression)
    assert Pictures({"images.zip": [file]}).read("/images/a.png") == PICTURE
    data = bytearray(file.getvalue())
    begin = data.index(b"a.png") + len("a.png")
    for place in range(begin + 8, begin + 40):
        data[place] ^= 0xFF
    with pytest.raises(RowError, match="its picture in the archive cannot be read"):
        Pictures({"images.zip": [io.BytesIO(data)]}).read("images/a.png", "image")


def test_a_member_larger_than_any_picture_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST", 1 << 13)
    with pytest.raises(RowError, match="its picture in the archive has more than 0 MiB"):
        Pictures({"images.zip": [zipped(zipfile.ZIP_DEFLATED)]}).read("images/a.png")
