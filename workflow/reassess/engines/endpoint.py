"""The engine that asks an OpenAI-compatible API: no weights, no tokenizer, so many requests at a time.

The API is that of https://platform.openai.com/docs/api-reference/chat; `openai` waits and asks again where a server is
busy (429), fails (5xx) or cannot be reached.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import openai
from openai.types.chat import ChatCompletion
from PIL import ExifTags
from PIL import Image as PilImage

from reassess import prompts
from reassess.decoding import Decoding
from reassess.engines.base import EngineError, Request, Response, failed
from reassess.example import Example, decode
from reassess.models.reader import Reading, Unreadable
from reassess.prompts import Message, Prompt
from reassess.study.teachers import Endpoint

# With the waits of `openai`, which double from half a second to eight, a minute: limits of most servers are per minute.
RETRIES = 10
# A long chain of thought on a busy server; `openai` itself waits for 600.
TIMEOUT_SECONDS = 1800.0
# Requests in a row that a server has failed at (5xx) after which it is not the requests that are at fault.
FAILURES = 20
# Whoever asks is given a chance to stop so often.
TICK_SECONDS = 1.0
# Servers of one's own ask for none, and `openai` would else send what is in OPENAI_API_KEY.
NO_KEY = "none"
# What every API takes as it is.
_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg"}
_MODES = ("RGB", "L", "P", "1")
# Where servers put the reasoning that they have cut from a response: DeepSeek and vLLM up to 0.11, OpenRouter and vLLM.
_REASONING = ("reasoning_content", "reasoning")


class EndpointReader:
    """How an API is asked: chat messages, whose template, tokens and limits are the server's.

    Args:
        prompt: the prompt of what is asked.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt

    def read(self, example: Example) -> Reading:
        """Return an example as it is asked; how many tokens it takes is not known.

        Raises:
            Unreadable: an image is broken, or the text has places for other than so many.
        """
        try:
            chat = self._chat(example)
        except ValueError as error:
            raise Unreadable(str(error)) from None
        try:
            pictures = example.pil()
        except OSError:
            raise Unreadable("image cannot be decoded") from None
        return Reading(json.dumps(chat, ensure_ascii=False), pictures, 0, 0)

    def forced(self, text: str) -> str:
        """Raise EngineError: an API writes a response from its beginning."""
        raise EngineError("an endpoint cannot be made to begin a response in some way")

    def messages(self, example: Example) -> list[Message]:
        """Return the chat messages of an example under the API's own names, images as data URLs in their places."""
        chat, images = self._chat(example), iter(example.images)
        for message in chat if example.images else ():
            message["content"] = [
                {"type": "image_url", "image_url": {"url": data_url(next(images))}} if part["type"] == "image" else part
                for part in message["content"]
            ]
        # Some APIs take nothing but a string where there is no image.
        return [message if _is_visual(message) else prompts.plain([message])[0] for message in chat]

    def _chat(self, example: Example) -> list[Message]:
        return prompts.messages(example.question, example.options, len(example.images), self._prompt)


def _is_visual(message: Message) -> bool:
    return any(part["type"] != "text" for part in message["content"])


def data_url(image: bytes) -> str:
    """Return an encoded image as a data URL: PNG and JPEG as they are, where any reader sees what `decode` does.

    What is transparent, turned by its EXIF, in CMYK or more than 8 bits, or in another format becomes a PNG in RGB.
    """
    with PilImage.open(io.BytesIO(image)) as picture:
        is_plain = picture.mode in _MODES and not picture.has_transparency_data
        is_plain = is_plain and picture.getexif().get(ExifTags.Base.Orientation, 1) == 1
        kind = _FORMATS.get(picture.format or "") if is_plain else None
    if kind is None:
        kind, out = "image/png", io.BytesIO()
        decode(image).save(out, "PNG")
        image = out.getvalue()
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


class EndpointEngine:
    """A model behind an endpoint.

    Args:
        endpoint: the endpoint.
        reader: how it is asked.
        where: the endpoint's key path in the study.

    Raises:
        EngineError: the environment has no key.
    """

    def __init__(self, endpoint: Endpoint, reader: EndpointReader, where: str) -> None:
        self._endpoint, self._reader, self._where = endpoint, reader, where
        self._key = NO_KEY if endpoint.key is None else os.environ.get(endpoint.key, "").strip()
        if not self._key:
            raise EngineError(
                f"{where}.key: the environment of this job has no {endpoint.key}; set it where you start Snakemake "
                f"(`export {endpoint.key}=...`)"
            )
        self._failures = 0

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[dict[str, Response]]:
        """Yield responses by key as they come, none from time to time.

        Raises:
            EngineError: the server refuses the key or the model, cannot be reached, or fails again and again.
        """
        waiting, running = deque(requests), dict[asyncio.Task[Response], str]()
        with asyncio.Runner() as runner:
            client = self._client()
            try:
                while waiting or running:
                    done, error = runner.run(self._some(client, waiting, running, decoding))
                    yield done
                    if error is not None:
                        raise error
            finally:
                runner.run(_end(client, running))

    async def _some(
        self,
        client: openai.AsyncOpenAI,
        waiting: deque[Request],
        running: dict[asyncio.Task[Response], str],
        decoding: Decoding,
    ) -> tuple[dict[str, Response], BaseException | None]:
        """Return what is finished within a tick, and what ends the job; start new requests for old ones."""
        while waiting and len(running) < self._endpoint.concurrency:
            request = waiting.popleft()
            running[asyncio.create_task(self._one(client, request, decoding))] = request.key
        done, _ = await asyncio.wait(running, timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        keys = {task: running.pop(task) for task in done}
        error = next((error for task in done if (error := task.exception()) is not None), None)
        return {key: task.result() for task, key in keys.items() if task.exception() is None}, error

    async def _one(self, client: openai.AsyncOpenAI, request: Request, decoding: Decoding) -> Response:
        """Ask for one response."""
        messages = self._reader.messages(request.origin.examples[request.origin.place])
        drawn = {**decoding.drawn(), **({} if request.seed is None else {"seed": request.seed})}
        body = {**drawn, **self._endpoint.extra_body}
        try:
            # All under `extra_body`, where `null` is sent as it is, and the server's own options have a place.
            said = await client.chat.completions.create(
                model=self._endpoint.name,
                messages=messages,  # type: ignore[arg-type]
                extra_body=body,
            )
        except openai.APIStatusError as error:
            return self._refused(error)
        except openai.APIConnectionError as error:
            why = self._plain(str(error.__cause__ or error))
            raise EngineError(
                f"{self._where}: no answer from {self._endpoint.endpoint} ({why}); run the study again once it can be "
                "reached, what was answered is kept"
            ) from None
        # No JSON, or none of this API's.
        except (openai.APIError, ValueError) as error:
            return failed(self._plain(str(error)))
        self._failures = 0
        return self._response(said)

    def _refused(self, error: openai.APIStatusError) -> Response:
        """Return the response to a request that is refused.

        Raises:
            EngineError: every other request would be refused too.
        """
        status, why = error.status_code, self._plain(_message(error))
        if status == 401:
            what = "key: none is given" if self._endpoint.key is None else f"key: check {self._endpoint.key}"
            raise EngineError(f"{self._where}.{what}; the server refuses it (401: {why})")
        if status == 403:
            raise EngineError(
                f"{self._where}.key: it gives no access to {self._endpoint.name} at this endpoint (403: {why})"
            )
        if status == 404:
            raise EngineError(
                f"{self._where}: there is no {self._endpoint.name!r} at {self._endpoint.endpoint} (404: {why}); check "
                "`name` and `endpoint`, which most often ends in /v1"
            )
        if status == 429:
            raise EngineError(
                f"{self._where}: the limits of the endpoint are used up (429: {why}); set a lower `concurrency`, or "
                "run the study again later: what was answered is kept"
            )
        self._failures += status >= 500
        if self._failures == FAILURES:
            raise EngineError(
                f"{self._where}: the server has failed at {FAILURES} requests in a row (the last: {status}: {why}); "
                "run the study again later, what was answered is kept"
            )
        return failed(f"HTTP {status}: {why}")

    def _response(self, said: Any) -> Response:
        """Return what an API has said."""
        if not isinstance(said, ChatCompletion):
            raise EngineError(
                f"{self._where}.endpoint: {self._endpoint.endpoint} answers, and not as an OpenAI-compatible API does; "
                "it most often ends in /v1"
            )
        if not said.choices:
            # OpenRouter says so what has gone wrong behind it.
            return failed(self._plain(f"no choices: {(said.model_extra or {}).get('error')}"))
        choice, served = said.choices[0], " ".join(filter(None, (said.model, said.system_fingerprint))) or "not named"
        used = (said.usage.completion_tokens, said.usage.prompt_tokens) if said.usage else (0, 0)
        if choice.finish_reason not in ("stop", "length"):
            why = f"the server ended the response with {choice.finish_reason!r}"
            return Response("", "error", *used, why, served)
        return Response(_text(choice.message), choice.finish_reason, *used, served=served)

    def _client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=self._key, base_url=self._endpoint.endpoint, max_retries=RETRIES, timeout=TIMEOUT_SECONDS
        )

    def _plain(self, text: str) -> str:
        """Return what a server says as one line, in which the key is not shown."""
        shown = text if self._endpoint.key is None else text.replace(self._key, f"${self._endpoint.key}")
        return " ".join(shown.split())[:300]


def _text(message: Any) -> str:
    """Return a message as the model has written it: many servers cut its reasoning off and put it beside."""
    text = message.content or message.refusal or ""
    extra = message.model_extra or {}
    reasoning = next((found for name in _REASONING if (found := extra.get(name))), None)
    if reasoning is None:
        return text
    # A response that was cut while it reasoned has no end of that.
    return f"{prompts.THINK}{reasoning}" + (f"</think>{text}" if text else "")


def _message(error: openai.APIStatusError) -> str:
    """Return what a server says of an error: the message in its JSON, or else all of it."""
    body = error.body
    return str(body["message"]) if isinstance(body, dict) and "message" in body else str(body or error)


async def _end(client: openai.AsyncOpenAI, running: dict[asyncio.Task[Response], str]) -> None:
    """Break off what is running."""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await client.close()
