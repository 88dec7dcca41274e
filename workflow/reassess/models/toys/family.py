"""What a family of toy models gives, and the tokenizer that all of them learn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from reassess.prompts import TAGS


class Shape(NamedTuple):
    """Sizes of a toy model, and how it is pretrained. Head size is 32, the smallest that vLLM's CPU attention has.

    Attributes:
        hidden: width of the language model.
        layers: its layers.
        heads: its attention heads.
        ffn: width inside of its feed-forward layers.
        vision_hidden: width of the vision encoder.
        initializer_range: standard deviation of the weights.
        learning_rate: of AdamW, which trains embeddings, biases and norms.
        matrix_learning_rate: of Muon, which trains the matrices of the layers.
    """

    hidden: int
    layers: int
    heads: int
    ffn: int
    vision_hidden: int
    initializer_range: float
    learning_rate: float
    matrix_learning_rate: float


class Family(Protocol):
    """A module that builds the toys of one family."""

    # By the names that a study uses.
    SHAPES: dict[str, Shape]
    # The token that ends a turn.
    END: str

    def build_processor(self, corpus: Iterable[str]) -> Any:
        """Return a processor whose tokenizer is learnt from `corpus`."""

    def build_model(self, shape: Shape, tokenizer: Any) -> Any:
        """Return a model with random weights, in float32."""

    def vision_inputs(self, processor: Any, processed: Any, input_ids: Any) -> dict[str, Any]:
        """Return what the model takes for a batch beside its tokens.

        Args:
            processor: the family's.
            processed: what it made of the pictures: one for each sequence that has one, in their order.
            input_ids: the batch's tokens, (sequences, length).
        """


def build_tokenizer(special: Sequence[str], pad: str, end: str, corpus: Iterable[str]) -> Any:
    """Return a fast tokenizer: byte-level BPE learnt from `corpus`, padding on the left.

    Args:
        special: the special tokens, which decoding leaves out; they get the first ids.
        pad: the one that fills a batch.
        end: the one that ends a turn.
        corpus: text to learn merges from.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # A number or a sign and the space before it are one token, so that arithmetic facts are one step.
    words = Regex(r" ?[A-Za-z]+[0-9]?| ?[0-9]+| ?[^\sA-Za-z0-9]|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, eos_token=end, padding_side="left", model_max_length=512
    )
    # Not special: decoding keeps them, as it keeps a real model's tags.
    fast.add_tokens(list(TAGS))
    return fast


def text_config(shape: Shape, tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Return the config of a language model, with `more` that is the family's own."""
    return {
        # Up to 31 rows of the embedding are no token's.
        "vocab_size": 32 * -(-len(tokenizer) // 32),
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": shape.ffn,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": shape.initializer_range,
        **more,
    }


def set_generation(model: Any, tokenizer: Any) -> None:
    """Have the model's own generation end and pad as its tokenizer does."""
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = None
