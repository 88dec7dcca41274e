"""The parts of a vision-language model by names that hold for all families: vision tower, projector, language model.

What transformers calls them (5.x): the vision tower is `visual` (Qwen-VL, GLM-4V), `vision_tower` (InternVL, LLaVA,
Gemma 3) or `vision_model` (Idefics3, SmolVLM); the projector is `multi_modal_projector`, `connector`, or `merger`
inside of the vision encoder; the language model is `language_model` or `text_model`, beside the output layer `lm_head`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, get_args

from reassess.stages.base import Part

_TOWER = r"(?:visual|vision_tower|vision_model)"
# Those of Qwen-VL are modules of the vision encoder; Qwen3-VL has one for each layer whose features enter.
_MERGER = r"\.(?:merger|deepstack_merger_list)"
# LLaVA learns `image_newline`, the mark at the end of a row of patches, with its projector.
_PROJECTOR = r"(?:multi_modal_projector|connector|image_newline)"
_LANGUAGE_MODEL = r"(?:language_model|text_model)"
# What the modules and parameters of each part are called, at the top or, in most families, in an inner model.
_PATTERNS: dict[Part, str] = {
    "vision_tower": rf"(?:model\.)?{_TOWER}(?!{_MERGER}\b)(?:\..*)?",
    "projector": rf"(?:model\.)?(?:{_PROJECTOR}|{_TOWER}{_MERGER})(?:\..*)?",
    "language_model": rf"(?:model\.)?(?:{_LANGUAGE_MODEL}|lm_head)(?:\..*)?",
}


class PartError(ValueError):
    """A part that a model does not have, or a weight that belongs to none: the message names it."""


def parts(model: Any) -> dict[Part, list[str]]:
    """Return the names of a model's parameters by part, each once where weights are tied.

    All of a model without a vision tower is its language model.

    Raises:
        PartError: a parameter belongs to none.
    """
    found: dict[Part, list[str]] = {part: [] for part in get_args(Part)}
    names = [name for name, _ in model.named_parameters()]
    if not any(re.fullmatch(_PATTERNS["vision_tower"], name) for name in names):
        return found | {"language_model": names}
    for name in names:
        part = next((part for part, pattern in _PATTERNS.items() if re.fullmatch(pattern, name)), None)
        if part is None:
            raise PartError(f"it is not known which part of {type(model).__name__} {name} belongs to")
        found[part].append(name)
    return found


def freeze(model: Any, frozen: Collection[Part]) -> None:
    """Have nothing of some parts trained.

    Raises:
        PartError: the model does not have one of them.
    """
    for names in _of(model, frozen).values():
        for name in names:
            model.get_parameter(name).requires_grad_(False)


def pattern(model: Any, chosen: Collection[Part]) -> str:
    """Return a regular expression of the modules of some parts.

    Raises:
        PartError: the model does not have one of them.
    """
    _of(model, chosen)
    return "|".join(_PATTERNS[part] for part in chosen)


def linear_layers(model: Any) -> str:
    """Return a regular expression of the linear layers of a model's language model, its output layer excepted.

    Raises:
        PartError: a weight belongs to no known part.
    """
    import torch

    inside = rf"(?:model\.)?{_LANGUAGE_MODEL}\." if parts(model)["vision_tower"] else ""
    head = model.get_output_embeddings()
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module != head]
    own = {re.escape(name.rpartition(".")[2]) for name in layers if re.match(inside, name)}
    return rf"{inside}.*\.(?:{'|'.join(sorted(own))})"


def _of(model: Any, chosen: Collection[Part]) -> dict[Part, list[str]]:
    """Return the parameters of some parts of a model. Raises PartError where it does not have one of them."""
    # A family whose parts are not known is trained all the same, as a whole.
    known = parts(model) if chosen else {}
    for part in chosen:
        if not known[part]:
            has = ", ".join(name for name, names in known.items() if names)
            raise PartError(f"{type(model).__name__} has no {part}, only {has}")
    return {part: known[part] for part in chosen}
