"""Tokenizers of the families' own shapes: real classes, splitting rules and special tokens, few words.

The ranks are learnt from the licence's text, which never changes, so that a tokenizer is the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import GemmaTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

TEXT = Path(__file__).resolve().parents[2] / "LICENSE"
RANKS = 640
# In the order of the hub's `added_tokens_decoder`, from <|endoftext|> on.
QWEN_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
QWEN_PLAIN = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)
QWEN3_PLAIN = (*QWEN_PLAIN, "<tool_response>", "</tool_response>", "<think>", "</think>")
INTERNVL_SPECIAL = (
    *("<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>", "<video>"),
)
LLAMA_SPECIAL = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
)
TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
IDEFICS3_SPECIAL = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<image>", "<fake_token_around_image>"),
    *("<global-img>", "<end_of_utterance>", *TILES),
)
SMOLVLM_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>", "<global-img>"),
    *("<end_of_utterance>", *TILES),
)
# Llama 3 cuts numbers after three digits, Qwen after one.
LLAMA_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def qwen(plain: Sequence[str] = QWEN_PLAIN, more: Sequence[str] = (), **kwargs: Any) -> Qwen2Tokenizer:
    """Return a Qwen tokenizer: one digit a token, the special tokens after the ranks, turns end with <|im_end|>."""
    empty = Qwen2Tokenizer()._tokenizer
    vocabulary, merges = _learn("qwen", empty.normalizer, empty.pre_tokenizer)
    tokenizer = Qwen2Tokenizer(
        vocabulary, merges, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=32768, **kwargs
    )
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in (*QWEN_SPECIAL, *more)])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in plain])
    return tokenizer


def internvl() -> Qwen2Tokenizer:
    """Return InternVL3's tokenizer: Qwen's, with tokens around and for the tiles of a picture."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    return qwen(QWEN3_PLAIN, INTERNVL_SPECIAL, extra_special_tokens=named)


def llama() -> PreTrainedTokenizerFast:
    """Return a Llama 3 tokenizer, which writes <|begin_of_text|> before a text by itself."""
    tokenizer = _bytes(LLAMA_SPECIAL, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")
    tokenizer.pad_token = "<|finetune_right_pad_id|>"
    return tokenizer


def idefics3() -> PreTrainedTokenizerFast:
    """Return Idefics3's tokenizer: Llama 3's, with tokens for tiles and the end of a turn."""
    named = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    named |= {"global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>"}
    tokenizer = _bytes(
        IDEFICS3_SPECIAL, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>", extra_special_tokens=named
    )
    tokenizer.pad_token = "<|end_of_text|>"
    return tokenizer


def smolvlm() -> GPT2Tokenizer:
    """Return SmolVLM's tokenizer: one digit a token, turns end with <end_of_utterance>."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    vocabulary, merges = _learn("smolvlm", None, words)
    named = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    named |= {"global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>"}
    tokenizer = GPT2Tokenizer(
        vocabulary,
        merges,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
        extra_special_tokens=named,
    )
    tokenizer._tokenizer.pre_tokenizer = words
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in SMOLVLM_SPECIAL])
    return tokenizer


def gemma3() -> GemmaTokenizer:
    """Return Gemma 3's tokenizer: SentencePiece's spaces, bytes for what is unknown, runs of line ends as tokens.

    <end_of_turn> is an added token with `special: true`, and no named one, as on the hub.
    """
    space = normalizers.Replace(" ", "▁")
    words = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    learnt, merges = _learn("gemma3", space, words)
    first = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
    names = dict.fromkeys([*first, *("\n" * n for n in range(1, 5)), *BYTES, *learnt])
    tokenizer = GemmaTokenizer(
        {name: i for i, name in enumerate(names)},
        [pair for pair in merges if "".join(pair) in names],
        extra_special_tokens={
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
        },
    )
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in first[5:]])
    tokenizer.add_tokens([AddedToken("\n" * n, normalized=False) for n in range(1, 5)])
    _begin(tokenizer)
    return tokenizer


def _bytes(special: Sequence[str], **kwargs: Any) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that cuts words as Llama 3 does."""
    words = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    vocabulary, merges = _learn("llama", None, words)
    backend = Tokenizer(models.BPE(vocabulary, [tuple(pair) for pair in merges], ignore_merges=True))
    backend.pre_tokenizer, backend.decoder = words, decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=131072, **kwargs)
    _begin(tokenizer)
    return tokenizer


def _begin(tokenizer: Any) -> None:
    """Make a tokenizer write its beginning-of-text token, unless it is asked not to."""
    bos = tokenizer.bos_token
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.bos_token_id)]
    )


_LEARNT: dict[str, tuple[dict[str, int], list[tuple[str, str]]]] = {}


def _learn(shape: str, normalizer: Any, words: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the ranks and merges that byte pairs of the licence's text give under a family's splitting rules."""
    if shape not in _LEARNT:
        learner = Tokenizer(models.BPE())
        if normalizer is not None:
            learner.normalizer = normalizer
        learner.pre_tokenizer = words
        letters = [] if shape == "gemma3" else pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=RANKS, initial_alphabet=letters, show_progress=False)
        learner.train_from_iterator(_text(), trainer)
        model = json.loads(learner.to_str())["model"]
        _LEARNT[shape] = model["vocab"], [tuple(pair) for pair in model["merges"]]
    vocabulary, merges = _LEARNT[shape]
    return dict(vocabulary), list(merges)


@cache
def _text() -> tuple[str, ...]:
    numbers = " ".join(str(n) for n in range(1000))
    return TEXT.read_text(encoding="utf-8"), numbers, numbers.replace(" ", " + "), "<answer> </answer> = ? ( ) { } \\"
