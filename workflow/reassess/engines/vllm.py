"""The vLLM engine: continuous batching over a sliding window of requests."""

from __future__ import annotations

import gc
import importlib.util
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from reassess.decoding import Decoding
from reassess.engines.base import (
    EngineError,
    FinishReason,
    Given,
    Likelihood,
    Question,
    Request,
    Response,
    Setting,
    banned_tokens,
    failed,
    text,
    unlikely,
)
from reassess.stages import engine_args

# A request, what is known of it while it runs, and what is told of it.
Asked = TypeVar("Asked", Request, Given)
Known = TypeVar("Known")
Told = TypeVar("Told")

# The chat template has written the special tokens already.
TOKENIZATION = {"add_special_tokens": False}
# Responses go to the store at most this long after they are finished.
FLUSH_SECONDS = 1.0


def why_not(gpus: int) -> str:
    """Return why vLLM cannot run here, empty where it can. Imports vLLM where it is installed."""
    if importlib.util.find_spec("vllm") is None:
        return "vllm is not installed"
    set_environment(gpus)
    try:
        import vllm  # noqa: F401
        from vllm.platforms import current_platform
    # A build for another machine fails in many ways: missing CUDA libraries, another torch, an unknown device.
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return f"vllm does not import: {first_line}"
    if gpus and not current_platform.is_cuda_alike():
        return f"this vllm has no GPU to run on, and the job has {gpus}"
    if not gpus and not current_platform.is_cpu():
        return "this vllm is not a CPU build, and the job has no GPU (models.<name>.resources.generate.gpu)"
    return ""


def set_environment(gpus: int) -> None:
    """Set what vLLM reads at import; what the user has set stays."""
    # The CPU build warns at every image that its threads are bound already.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING" if gpus else "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if not gpus:
        # A process of its own for the engine core takes 11 to 25 s to start, in-process takes 3 s.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        # GiB. Without it vLLM wants 92% of the machine's memory to be free.
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def version() -> str:
    """Return the installed version."""
    if (found := engine_args.vllm_version()) is None:
        raise EngineError("vllm is importable but not an installed distribution, so its version is not known")
    return found


def device() -> str:
    """Return the name of a GPU, as vLLM has it: torch would set up CUDA in this process, and vLLM's own process wants
    that memory."""
    from vllm.platforms import current_platform

    return str(current_platform.get_device_name())


def start(directory: str, setting: Setting) -> VllmEngine:
    """Start the engine on a checkpoint directory."""
    return VllmEngine(directory, setting)


def launch(directory: str, setting: Setting) -> Any:
    """Return a started `vllm.LLM`; takes seconds to minutes.

    Args:
        directory: a Hugging Face checkpoint.
        setting: `engine_args` go to `vllm.LLM` under its own names and win over what is set here.

    Raises:
        EngineError: it does not start, or not with this model.
    """
    from vllm import LLM

    where, instead = f"{setting.where}.engine_args", f"`{setting.where}.engine: transformers`"
    args: dict[str, Any] = {
        "dtype": setting.reader.model.dtype,  # "auto" would take bfloat16 for a float32 checkpoint
        "seed": setting.seed,
        "max_model_len": setting.max_model_len,
        "trust_remote_code": setting.reader.model.trust_remote_code,
        "load_format": "safetensors",
    }
    if setting.gpus:
        args["tensor_parallel_size"] = setting.gpus
    else:
        # Compilation costs tens of seconds and gains nothing at toy size. A seeded request in a chunked prefill
        # kills the CPU engine of vLLM 0.32 ("CPU Generator does not use offset").
        args |= {"enforce_eager": True, "enable_chunked_prefill": False}
    try:
        llm = LLM(model=directory, **{**args, **setting.engine_args})
    except TypeError as error:
        raise EngineError(f"{where}: vllm.LLM does not take them: {error}") from None
    # What a model lacks in vLLM, or a machine for it, vLLM says with errors of many kinds.
    except Exception as error:
        # Behind that, pydantic prints the whole configuration.
        said = " ".join(str(error).partition(" [type=")[0].split())[:300]
        raise EngineError(
            f"{directory}: vLLM does not start with this model ({type(error).__name__}: {said}); set {where} if these "
            f"ask for something else, or {instead}"
        ) from error
    if not setting.gpus and llm.llm_engine.vllm_config.model_config.is_mm_prefix_lm:
        raise EngineError(
            f"{directory}: in this model the tokens of a picture attend to each other in both directions, which vLLM's "
            f"attention on a CPU does not do; set {instead}"
        )
    return llm


def prompt(question: Question) -> dict[str, Any]:
    """Return a question as vLLM takes it; `TOKENIZATION` goes with it."""
    shown = {"multi_modal_data": {"image": question.pictures}} if question.pictures else {}
    return {"prompt": question.prompt, **shown}


def refusal() -> type[Exception]:
    """Return the error with which vLLM refuses options of sampling, or a prompt."""
    from vllm.exceptions import VLLMValidationError

    refused: type[Exception] = VLLMValidationError
    return refused


def reload(llm: Any, **weights: Any) -> None:
    """Change the weights of a running engine in place, and drop what it has computed with others.

    Args:
        llm: the `vllm.LLM`.
        weights: where they come from: `weights_path`, or `weights_iterator` of names in a checkpoint and tensors.
    """
    llm.collective_rpc("reload_weights", kwargs=weights)
    llm.apply_model(_pack_output_layer)
    # Keys and values of prompts, and features of images.
    llm.llm_engine.reset_prefix_cache()
    llm.llm_engine.reset_encoder_cache()


def _pack_output_layer(model: Any) -> None:
    """Pack the weights of an output layer that has those of the input layer, where a CPU computes with a packed copy.

    vLLM 0.32 packs them anew for layers that have weights in the checkpoint alone, and a tied output layer has none.
    """
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for layer in model.modules():
        if isinstance(layer, ParallelLMHead) and hasattr(layer, "cpu_linear"):
            layer.quant_method.process_weights_after_loading(layer)


class VllmEngine:
    """`vllm.LLM` in the study's precision, with its own defaults otherwise.

    Args:
        directory: a Hugging Face checkpoint.
        setting: `engine_args` go to `vllm.LLM` under its own names and win over what is set here.
    """

    def __init__(self, directory: str, setting: Setting) -> None:
        set_environment(setting.gpus)
        self._setting = setting
        self._llm: Any = launch(directory, self._setting)

    def load(self, directory: str) -> None:
        """Change to another checkpoint of the same model."""
        if self._setting.gpus:
            # A reload in place would have to be proven for every attention and quantization backend.
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None
            gc.collect()
            self._llm = launch(directory, self._setting)
            return
        reload(self._llm, weights_path=directory)
        # Processed pixels, by what may be another processor.
        self._llm.llm_engine.reset_mm_cache()

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[dict[str, Response]]:
        """Yield responses by key as they are finished, long ones after shorter ones that were asked later."""
        yield from self._finished(
            requests,
            lambda request: self._add(request, decoding),
            lambda output, request, length: self._response(output, request, length, decoding.stop),
            failed,
        )

    def nll(self, given: Sequence[Given]) -> Iterator[dict[str, Likelihood]]:
        """Yield how likely given responses are by key, as they are finished: vLLM reads each as the end of a prompt."""
        yield from self._finished(given, self._add_given, self._likelihood, unlikely)

    def _finished(
        self,
        requests: Sequence[Asked],
        add: Callable[[Asked], Known],
        read: Callable[[Any, Asked, Known], Told],
        refused: Callable[[str], Told],
    ) -> Iterator[dict[str, Told]]:
        """Yield what is told of requests by key, some at a time, as they are finished.

        Args:
            requests: the requests.
            add: hands one over to the engine, and returns what `read` has to know of it.
            read: makes what is told of vLLM's output.
            refused: makes it of a message of vLLM's.
        """
        engine = self._llm.llm_engine
        # Twice what runs at a time, so that the scheduler always finds the next request.
        window = 2 * engine.vllm_config.scheduler_config.max_num_seqs
        waiting = deque(requests)
        done: dict[str, Told] = {}
        asked: dict[str, tuple[Asked, Known]] = {}
        flushed = time.monotonic()
        while waiting or engine.has_unfinished_requests() or done:
            while waiting and engine.get_num_unfinished_requests() < window:
                request = waiting.popleft()
                try:
                    asked[request.key] = request, add(request)
                # A prompt or an image that vLLM refuses. A failure of the engine itself ends the job.
                except (ValueError, refusal()) as error:
                    done[request.key] = refused(str(error))
            if engine.has_unfinished_requests():
                finished = [out for out in engine.step() if out.finished]
                done.update((out.request_id, read(out, *asked.pop(out.request_id))) for out in finished)
            idle = not waiting and not engine.has_unfinished_requests()
            if done and (idle or time.monotonic() - flushed > FLUSH_SECONDS):
                yield done
                done, flushed = {}, time.monotonic()

    def params(self, request: Request, decoding: Decoding) -> Any:
        """Return the `vllm.SamplingParams` of a request."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        # One request per sample: with n > 1 vLLM gives sample i the seed `seed + i`, so that repeats with
        # neighbouring seeds would share samples.
        return SamplingParams(
            n=1,
            seed=request.seed,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k or 0,
            min_p=decoding.min_p,
            repetition_penalty=decoding.repetition_penalty,
            max_tokens=decoding.max_tokens,
            stop=list(decoding.stop),
            stop_token_ids=self._setting.reader.stops,
            bad_words=banned_tokens(self._setting.reader.processor),
            include_stop_str_in_output=True,
            # Stop strings are looked for in the text.
            detokenize=bool(decoding.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _add(self, request: Request, decoding: Decoding) -> int:
        """Hand a request over; return the tokens that its prompt has in training."""
        question, params = request.origin.draw(self._setting.reader), self.params(request, decoding)
        self._llm.llm_engine.add_request(request.key, prompt(question), params, tokenization_kwargs=TOKENIZATION)
        return self._setting.reader.lengths(*question)[0]

    def _add_given(self, given: Given) -> tuple[int, list[int]]:
        """Hand a prompt over with its response; return how many tokens training has of both, and the response's."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        reader = self._setting.reader
        question, ids = given.origin.draw(reader), given.ids(reader)
        # As tokens, because those of text and of text behind it may be others than those of both.
        asked = prompt(question)
        asked["prompt_token_ids"] = [*reader.tokenizer(asked.pop("prompt"), **TOKENIZATION)["input_ids"], *ids]
        # It cannot be asked for no new token.
        params = SamplingParams(
            max_tokens=1,
            temperature=0,
            prompt_logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._llm.llm_engine.add_request(given.key, asked, params)
        return reader.lengths(*question)[0] + len(ids), ids

    def _likelihood(self, output: Any, given: Given, known: tuple[int, list[int]]) -> Likelihood:
        """Return what a finished `vllm.RequestOutput` says of a given response; see `_response`."""
        length, ids = known
        reader, read = self._setting.reader, list(output.prompt_token_ids)
        if len(read) != length:
            length = reader.exact(*given.origin.draw(reader)) + len(ids)
        if len(read) != length or read[-len(ids) :] != ids:
            return unlikely(
                "vLLM makes other tokens of a prompt and its response than training; set "
                "`evaluation.engine: transformers`"
            )
        places = output.prompt_logprobs[-len(ids) :]
        return Likelihood(-sum(place[id_].logprob for place, id_ in zip(places, ids, strict=True)), len(ids))

    def _response(self, output: Any, request: Request, length: int, stop: Sequence[str]) -> Response:
        """Return a finished `vllm.RequestOutput` as a response.

        Some models take several images otherwise in vLLM: LLaVA-OneVision cuts each into tiles, and in transformers
        none. Such an answer would be one to another prompt.
        """
        prompt_tokens, reader = len(output.prompt_token_ids), self._setting.reader
        if prompt_tokens != length:
            length = reader.exact(*request.origin.draw(reader))
        if prompt_tokens != length:
            return failed(
                f"vLLM makes {prompt_tokens} tokens of a prompt that has {length} in training; set "
                "`evaluation.engine: transformers`"
            )
        (completion,) = output.outputs
        if completion.finish_reason not in ("stop", "length"):
            return failed(f"vLLM ended the request with {completion.finish_reason!r}")
        reason: FinishReason = completion.finish_reason
        ids = list(completion.token_ids)
        said = text(ids, reader.stops, reader.tokenizer, stop)
        return Response(said, reason, len(ids), prompt_tokens)
