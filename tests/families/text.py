"""Text models: Qwen2.5, Qwen3 and Llama 3.2."""

from __future__ import annotations

import transformers

from . import tokenizers
from .parts import HEAD, Made, finish, template, text_config

LLAMA_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def qwen2_5() -> Made:
    """Return a Qwen2.5 with a head of its own."""
    tokenizer = tokenizers.qwen()
    tokenizer.chat_template = template("qwen2_5")
    model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**text_config(tokenizer)))
    return Made(finish(model, tokenizer, ["<|endoftext|>"]), tokenizer)


def qwen3() -> Made:
    """Return a Qwen3, which thinks unless `enable_thinking` is false."""
    tokenizer = tokenizers.qwen(tokenizers.QWEN3_PLAIN)
    tokenizer.chat_template = template("qwen3")
    config = transformers.Qwen3Config(**text_config(tokenizer, head_dim=HEAD, tie_word_embeddings=True))
    return Made(finish(transformers.Qwen3ForCausalLM(config), tokenizer, ["<|endoftext|>"]), tokenizer)


def llama() -> Made:
    """Return a Llama 3.2, whose template writes today's date into every prompt."""
    tokenizer = tokenizers.llama()
    tokenizer.chat_template = template("llama3_2")
    options = text_config(tokenizer, rope_parameters=LLAMA_ROPE, tie_word_embeddings=True)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**options))
    return Made(finish(model, tokenizer, ["<|end_of_text|>", "<|eom_id|>"]), tokenizer)
