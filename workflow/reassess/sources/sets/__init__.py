"""The training sets that are known by name, a module each (see `reassess.sources.published`)."""

from __future__ import annotations

# By path, so that a study that names one set imports one module.
SETS: dict[str, str] = {
    "geometry3k": "reassess.sources.sets.geometry3k",
}
