"""Tiny checkpoints of real model families, for tests: real architectures, processors and templates, random weights."""

from __future__ import annotations

from .table import FAMILIES, Family, build

__all__ = ["FAMILIES", "Family", "build"]
