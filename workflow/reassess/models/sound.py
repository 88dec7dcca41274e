"""Whether a base model can be trained and asked: it is loaded, as far as its size allows, before it counts as made.

The order is that of a person who looks for the fault: which files are there (`reassess.models.files`), what the config
says, tokenizer and image processor, the chat template, the names and shapes of all weights, their values, an answer.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from reassess.example import Example
from reassess.graph import Graph, resources
from reassess.models import files as checkpoint
from reassess.models import load
from reassess.models.amend import AmendError, own_template
from reassess.models.files import CONFIG, Files, ModelError
from reassess.models.reader import PLAIN, Reader
from reassess.prompts import TAGS, target
from reassess.study.models import Model

# The share of the memory that a job asks for (`resources.model.mem_mb`) which weights may take for an answer; the rest
# is for the libraries and for what a forward pass needs.
ANSWERING = 0.5
# Files of which a tokenizer needs one, whatever its class; a class may name others (`vocab_files_names`).
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
# Pixels of the picture that a model is shown.
_SHOWN = (96, 64)


def check_loads(files: Files, graph: Graph, name: str) -> None:
    """Make sure that config, tokenizer and image processor are of a model that the installed libraries know.

    Args:
        files: the checkpoint, of which `files.check` holds.
        graph: the study.
        name: which of its models this is.

    Raises:
        ModelError: they are not, or the study shows images to a model that takes none.
    """
    model = graph.study.speakers[name]
    found = _check_config(files, model)
    sees = _sees(files, model)
    if not sees and (shown := images_of(graph, name)):
        kind = found.get("model_type")
        raise ModelError(
            f"{files.name(CONFIG)}: {kind!r} is a model for text alone, and the study shows it images in "
            f"{' and '.join(shown)}; take a vision-language model, or pools and benchmarks with `modality: text`"
        )
    with _said(files, "tokenizer" if not sees else "tokenizer or image processor", "add the files that are missing"):
        processor = load.load_processor(files.directory, model)
    tokenizer = load.tokenizer_of(processor)
    names = {*_VOCABULARIES, *getattr(tokenizer, "vocab_files_names", {}).values()}
    if not any((files.directory / name).is_file() for name in names):
        # Without files transformers makes an empty tokenizer of some classes.
        raise ModelError(f"{files.told}: no tokenizer: none of {', '.join(sorted(names))} is there; add them")
    if sees and getattr(processor, "image_processor", None) is None:
        raise ModelError(
            f"{files.told}: no image processor: neither processor_config.json nor preprocessor_config.json says how "
            "images are prepared; add the file from where the model came from"
        )


def check(files: Files, graph: Graph, name: str) -> dict[str, Any]:
    """Make sure that a model is all there, and that it answers where it fits into the memory of the job.

    Args:
        files: the checkpoint as it will be used, of which `check_loads` holds.
        graph: the study.
        name: which of its models this is.

    Returns:
        What the record says of it: `class`, `parameters`, `stored` (numbers by precision), `modality`, `tied`,
        `stops` (the tokens that end a response), `template_sha256`, `opening` (what the template already writes of a
        response), and `answered` (whether it was asked, or only its weights were looked at).

    Raises:
        ModelError: it is not, or does not.
    """
    _check_attention(graph.study.speakers[name].attn_implementation)
    # Attention kernels may be on the machines with GPUs alone.
    model = graph.study.speakers[name].model_copy(update={"attn_implementation": None})
    template = own_template(files.directory, model)
    if not template:
        raise ModelError(
            f"{files.told}: no chat template (chat_template.jinja, or in tokenizer_config.json), as base models often "
            "have none; write one and give it as `chat_template`, or take the instruction-tuned model"
        )
    with _said(files, "tokenizer or generation_config.json", "correct the files"):
        reader = Reader.of(files.directory, model, graph.study.prompt)
    asked = _check_prompts(files, reader)
    imitates = any(graph.stage(job).imitates is not None for job in graph.of("train") if job.at.model == name)
    measures = (graph.measure(job)[1] for job in graph.of("measure") if job.at.model == name)
    if imitates or any(measure.READS_RESPONSES for measure in measures):
        with _said(files, "chat template", "correct it, or give another as `chat_template`"), _quiet():
            reader.completion("")
    skeleton = _check_names(files, model)
    with _said(files, type(skeleton).__name__, "a model without embeddings of tokens cannot be asked"):
        embedding, head = skeleton.get_input_embeddings(), skeleton.get_output_embeddings()
        rows = int(embedding.weight.shape[0])
    most = max(int(inputs["input_ids"].max()) for inputs in asked)
    if most >= rows or max(reader.stops) >= rows:
        raise ModelError(
            f"{files.told}: its tokenizer has token {max(most, *reader.stops)} and its embedding {rows} rows; the "
            "tokenizer is that of another model: take the one that came with these weights"
        )
    checkpoint.check_finite(files)
    parameters = sum(weight.numel() for weight in skeleton.parameters())
    is_asked = _fits(model, parameters)
    if is_asked:
        _check_answer(files, model, asked[-1])
    return {
        "class": type(skeleton).__name__,
        "parameters": parameters,
        "stored": checkpoint.dtypes(files),
        "modality": "visual" if reader.sees else "text",
        "tied": head is not None and head.weight is embedding.weight,
        "stops": reader.tokenizer.convert_ids_to_tokens(reader.stops),
        "template_sha256": hashlib.sha256(template.encode()).hexdigest(),
        "opening": reader.opening,
        "answered": is_asked,
    }


def _check_attention(name: str | None) -> None:
    """Make sure that transformers knows an attention. Raises AmendError."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    known = {"eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()}
    if name is not None and name not in known:
        raise AmendError(f"attn_implementation: {name!r} is none of {', '.join(sorted(known))}")


def images_of(graph: Graph, name: str) -> list[str]:
    """Return the key paths of what a study shows a model images in, at most one pool and one benchmark."""
    pools = [run.pool for run in graph.runs.values() if run.model == name]
    asked = [job for job in graph.of("generate") if job.at.model == name]
    benchmarks = [item for job in asked if job.at.suite for item in graph.study.suites[job.at.suite].benchmarks]
    for made in (graph.set_of(job) for job in asked):
        pools += [origin.key for origin in (made.origins() if made else ()) if origin.rule == "pool"]
    measured = [job for job in graph.of("measure") if job.at.model == name]
    pools += [need.key for job in measured for need in graph.needed(job, "pool")]
    benchmarks += [need.key for job in measured for need in graph.needed(job, "benchmark")]
    found = []
    for kind, names, specs in (
        ("pools", pools, graph.study.pools),
        ("benchmarks", benchmarks, graph.study.benchmarks),
    ):
        visual = [item for item in dict.fromkeys(names) if specs[item].modality != "text"]
        if visual:
            more = f" (and {len(visual) - 1} more)" if len(visual) > 1 else ""
            found.append(f"{kind}.{visual[0]}{more}")
    return found


def _check_config(files: Files, model: Model) -> dict[str, Any]:
    """Return config.json, of which the installed transformers makes a config."""
    import transformers
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    found = checkpoint.read(files, CONFIG) or {}
    kind = found.get("model_type")
    if not isinstance(kind, str):
        raise ModelError(
            f"{files.name(CONFIG)}: has no `model_type`; give the config.json of a transformers model, whole"
        )
    if kind not in CONFIG_MAPPING and not (found.get("auto_map") and model.trust_remote_code):
        todo = "take a version that knows it, or a model of a family that is known"
        if found.get("auto_map"):
            todo = "it comes with code of its own (`auto_map`): read that, and set `trust_remote_code: true` if you do"
        raise ModelError(
            f"{files.name(CONFIG)}: transformers {transformers.__version__} does not know the model_type {kind!r}; "
            f"{todo}"
        )
    with _said(files, CONFIG, "correct it, or take it from where the model came from"):
        AutoConfig.from_pretrained(files.directory, trust_remote_code=model.trust_remote_code)
    return found


def _sees(files: Files, model: Model) -> bool:
    """Return whether a model takes images. Raises ModelError where it is none that answers."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = load.auto_class(files.directory, model)
    if kind is not AutoModelForCausalLM:
        return True
    config = AutoConfig.from_pretrained(files.directory, trust_remote_code=model.trust_remote_code)
    if type(config) in kind._model_mapping or kind.__name__ in (getattr(config, "auto_map", None) or {}):
        return False
    raise ModelError(
        f"{files.name(CONFIG)}: {config.model_type!r} is no model that answers in text, to images or to text; take the "
        "whole model, and not its encoder alone"
    )


def _check_prompts(files: Files, reader: Reader) -> list[Any]:
    """Return what the model reads of a question without an image and, where it takes one, with an image."""
    if not reader.stops:
        raise ModelError(
            f"{files.told}: no token ends a response: neither tokenizer_config.json (`eos_token`) nor "
            "generation_config.json (`eos_token_id`) names one, and it would never stop; add it"
        )
    with _said(files, "chat template", "correct it, or give another as `chat_template`"), _quiet():
        is_dated = reader.reads_clock
    if is_dated:
        raise ModelError(
            f"{files.told}: its chat template writes today's date, so that training and evaluation would see other "
            "prompts on another day; set the date in `template_args`, by the variable that the template reads for it "
            "(such as `date_string: 26 Jul 2024`)"
        )
    response = target("1", "2", reader.prompt)
    ids = reader.tokenizer.encode(response, add_special_tokens=False)
    kept = reader.tokenizer.decode(ids, skip_special_tokens=True)
    if lost := [tag for tag in TAGS if tag in response and tag not in kept]:
        raise ModelError(
            f"{files.told}: its tokenizer takes {', '.join(lost)} for special tokens, which are no part of a response; "
            "set `special: false` for them in tokenizer.json and tokenizer_config.json"
        )
    if problem := reader.special(reader.prompt.instruction, reader.prompt.system or ""):
        raise ModelError(f"{files.told}: the study's `prompt`: {problem}; take it out")
    asked: list[Any] = []
    for example in (PLAIN, _shown()) if reader.sees else (PLAIN,):
        what = "with an image" if example.images else "without an image"
        with _said(files, f"chat template on a question {what}", "correct it, or give another as `chat_template`"):
            text = reader.render(example)
        with _said(files, f"processor on a question {what}", "chat template and processor must be of one model"):
            asked.append(reader.encode([text], [reader.pictures(example)], return_tensors="pt"))
    if reader.sees and not set(asked[1]) - set(asked[0]):
        raise ModelError(
            f"{files.told}: its processor leaves the image out of a question; chat template and processor must be of "
            "one model"
        )
    return asked


def _shown() -> Example:
    """Return a question with a picture."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(_SHOWN).convert("RGB").save(buffer, format="PNG")
    return replace(PLAIN, images=(buffer.getvalue(),))


def _check_names(files: Files, model: Model) -> Any:
    """Return the model without its values, having found every weight of it, with its shape, and no other.

    On torch's meta device transformers takes names and shapes from the files, in whatever older form they are, and
    reads no value: a model of any size takes no memory.
    """
    with _said(files, "weights", "config.json and *.safetensors must be of one model"), _quiet():
        skeleton, info = load.load_model(
            files.directory, model, device_map="meta", output_loading_info=True, ignore_mismatched_sizes=True
        )
    problems = []
    for kind, words in (
        ("missing_keys", "are missing"),
        ("unexpected_keys", "are none of the model's"),
        ("mismatched_keys", "have another shape"),
    ):
        if names := sorted(info[kind], key=str):
            problems.append(f"{len(names)} {words} (such as {_tensor(names[0])})")
    if problems:
        raise ModelError(
            f"{files.told}: of the weights {', '.join(problems)}: config.json and *.safetensors are not of one model; "
            f"take both from one place (as {type(skeleton).__name__} it has {len(skeleton.state_dict())} tensors)"
        )
    return skeleton


def _tensor(found: Any) -> str:
    """Return a tensor's name, and of one of another shape both shapes."""
    if isinstance(found, str):
        return found
    name, stored, expected = found
    return f"{name}, {list(stored)} in place of {list(expected)}"


def _fits(model: Model, parameters: int) -> bool:
    """Whether the job has the memory to load a model and let it answer."""
    width = 2 if model.dtype == "bfloat16" else 4
    return parameters * width <= ANSWERING * resources.asked(model, "model").mem_mb * 1e6


def _check_answer(files: Files, model: Model, inputs: Any) -> None:
    """Have a model generate a token."""
    import torch

    with _said(files, "model, asked a question,", "its files are not of one model"), _quiet():
        loaded = load.load_model(files.directory, model).eval()
        given = load.inputs_for(loaded, inputs)
        with torch.inference_mode():
            said = loaded.generate(
                **given, max_new_tokens=1, do_sample=False, return_dict_in_generate=True, output_logits=True
            )
    if said.sequences.shape[1] == given["input_ids"].shape[1]:
        raise ModelError(f"{files.told}: it generates no token; look at its generation_config.json")
    if not torch.isfinite(said.logits[0]).all():
        raise ModelError(
            f"{files.told}: all of its weights are finite, and its answer in {model.dtype} is not; a value of "
            "config.json may be wrong, or `dtype` too coarse for it"
        )


@contextmanager
def _said(files: Files, what: str, todo: str) -> Iterator[None]:
    """Make one message of whatever a library says of a checkpoint; they raise what they like."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        said = " ".join(lines).replace(str(files.directory), files.told)
        raise ModelError(f"{files.told}: {what}: {said[:400]}; {todo}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own tables, bars and advice away: what they say is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
