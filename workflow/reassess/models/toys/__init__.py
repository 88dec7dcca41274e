"""The families of toy models: one file each, with what differs between them."""

from __future__ import annotations

from reassess.models.toys import idefics3, qwen2_5_vl
from reassess.models.toys.family import Family

# By the names that a study uses.
FAMILIES: dict[str, Family] = {"idefics3": idefics3, "qwen2_5_vl": qwen2_5_vl}
