"""Where the answer stands in a response, and what a gold answer says once its packaging is off."""

import ast
import json
import re

from reassess.judge.normalize import repair_escapes, strip_emphasis

SHORT_REPLY_CHARACTERS = 200
_ALTERNATIVES_CHARACTERS = 2_000
_BOX_LINK_CHARACTERS = 30
_NESTED_BOXES = 3
_STATEMENT_CHARACTERS = 2_000

_SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{1,40}\|>|</s>")
_THINK_TAG = re.compile(r"<\s{0,3}(/?)\s{0,3}think\s{0,3}>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```[^\n`]*$\n?", re.MULTILINE)
_JSON_KEY = re.compile(r"(?:(?:final|short)[ _]?)?answer", re.IGNORECASE)
_LINE_OF_SYSTEM = re.compile(r"[^=\n]{1,20}=[^=\n]{1,60}")
_SYSTEM_LINES = 8
_ANSWER_TAG = re.compile(r"<\s{0,3}(/?)\s{0,3}answer(?:\s[^<>]{0,100})?>", re.IGNORECASE)
_BOX_OR_BRACE = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{|\\[{}\\]|[{}]")
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{\s*\}")
_QUOTED_LIST = re.compile(r"\[\s*['\"].*['\"]\s*,?\s*\]", re.DOTALL)
_BOX_LINK = re.compile(r"[\s$.;,&]*(?:(?:and|or)\b)?[\s$,]*", re.IGNORECASE)
_MARKER = re.compile(
    r"(?:\banswer\b|\bans\b|\bcorrect (?:option|choice)\b)[*_\"')]*"
    r"(?:[^\n.:=]{0,60}?\bis\b[*_]*(?:[ \t]*:)?|\s*[:=：])"
    r"|^[#*_ \t]*(?:final )?answer[*_ \t]*\n"
    r"|答案(?:是|为)?\s*[:：]?"
    r"|(?<!\#)\#{4}(?!\#)",
    re.IGNORECASE | re.MULTILINE,
)
# "The wrong answer is B" commits to nothing.
_DENIED = re.compile(
    r"(?:\b(?:wrong|incorrect|false|not|never)|n't)\s+(?:(?:the|an|a|my|correct|right|final)\s+){0,3}$", re.IGNORECASE
)
_DENIAL_CHARACTERS = 40
_DISPLAY_MATH = re.compile(r"\s*(?:\$\$(.+?)\$\$|\\\[(.+?)\\\])", re.DOTALL)
# A full stop ends the sentence only before white space and a capital letter or a line end, and not after these.
_SENTENCE_END = re.compile(r"(?<!\bSt)(?<!\bMt)(?<!\bMr)(?<!\bDr)(?<!\bMs)(?<!\bvs)[.!?](?=\s+[A-Z]|\s*$)")
_GOLD_ANSWER_MARK = re.compile(r"(?:†\s*answer|^\s*(?:the\s+)?(?:final\s+)?answer)\s*(?:is\b|:)\s*", re.IGNORECASE)


def find_answer(response: str) -> str | None:
    """The answer that a response commits itself to, or None.

    In this order: the last <answer> element, the last \\boxed{} with balanced braces, what follows the last "answer is"
    or "Answer:", the whole response where it is short. Reasoning is never searched: text inside <think> does not
    count, nor does anything after a <think> that is not closed.
    """
    reply = _SPECIAL_TOKEN.sub("", after_thinking(repair_escapes(response))).strip()
    if not reply:
        return None
    tagged = _last_answer_element(reply)
    if tagged is not None:
        tagged = _FENCE.sub("", tagged).strip()
        return (last_boxed(tagged) or _after_marker(tagged) or strip_emphasis(tagged)) or None
    reply = _FENCE.sub("", reply).strip()
    found = _json_answer(reply) or last_boxed(reply) or _after_marker(reply)
    if found:
        return found
    return strip_emphasis(reply) or None if len(reply) <= SHORT_REPLY_CHARACTERS else None


def _json_answer(reply: str) -> str | None:
    """The answer in a reply that is a JSON object with one, as DynaMath's prompt asks for."""
    if not (reply.startswith("{") and reply.endswith("}")):
        return None
    try:
        found = json.loads(reply)
    except (ValueError, RecursionError):
        return None
    answers = [value for key, value in found.items() if _JSON_KEY.fullmatch(key)]
    return str(answers[0]) if len(answers) == 1 and isinstance(answers[0], str | int | float) else None


def after_thinking(response: str) -> str:
    """What follows the reasoning. The opening tag may be missing, because chat templates put it into the prompt."""
    tags = list(_THINK_TAG.finditer(response))
    start = max((tag.end() for tag in tags if tag[1]), default=0)
    end = next((tag.start() for tag in tags if tag.start() >= start and not tag[1]), len(response))
    return response[start:end]


def reply_of(response: str) -> str:
    """What a response says outside its reasoning: the content of the last <answer>, else what follows the reasoning."""
    reply = _SPECIAL_TOKEN.sub("", after_thinking(response)).strip()
    tagged = _last_answer_element(reply)
    return reply if tagged is None else tagged


def _last_answer_element(reply: str) -> str | None:
    """The content of the last <answer>; a reply that stops inside it counts, because its end tag may be a stop word."""
    content: str | None = None
    opening: int | None = None
    for tag in _ANSWER_TAG.finditer(reply):
        if not tag[1]:
            opening = tag.end()
        elif opening is not None:
            content, opening = reply[opening : tag.start()].strip(), None
    if content is None and opening is not None:
        return reply[opening:].strip()
    return content


def boxed_spans(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of every balanced \\boxed{} that lies in no other one, in a single pass."""
    spans: list[tuple[int, int, str]] = []
    open_braces: list[tuple[bool, int, int]] = []
    for token in _BOX_OR_BRACE.finditer(text):
        mark = token[0]
        if mark == "{" or "box" in mark:
            open_braces.append((mark != "{", token.start(), token.end()))
        elif mark == "}" and open_braces:
            is_box, start, content = open_braces.pop()
            if is_box:
                while spans and spans[-1][0] > start:
                    spans.pop()
                spans.append((start, token.end(), text[content : token.start()]))
    return spans


def last_boxed(text: str) -> str | None:
    """The content of the last non-empty \\boxed{}; boxes that only commas, "and" or "or" part are read as one list."""
    spans = [span for span in boxed_spans(text) if span[2].strip()] if "box" in text else []
    if not spans:
        return None
    contents = [spans[-1][2]]
    start = spans[-1][0]
    for earlier_start, earlier_end, content in reversed(spans[:-1]):
        if start - earlier_end > _BOX_LINK_CHARACTERS or not _BOX_LINK.fullmatch(text, earlier_end, start):
            break
        contents.append(content)
        start = earlier_start
    return ", ".join(dict.fromkeys(_unnest(content) for content in reversed(contents)))


def _unnest(content: str) -> str:
    for _ in range(_NESTED_BOXES):
        inner = boxed_spans(content)
        if not inner:
            break
        content = inner[-1][2]
    return content.strip().removeprefix("####").strip()


def _after_marker(reply: str) -> str | None:
    for marker in reversed(list(_MARKER.finditer(reply))):
        if _DENIED.search(reply, max(0, marker.start() - _DENIAL_CHARACTERS), marker.start()):
            continue
        display = _DISPLAY_MATH.match(reply, marker.end())
        following = reply[marker.end() : marker.end() + _STATEMENT_CHARACTERS]
        stated = (display[1] or display[2]) if display else _first_sentence(following)
        # Emphasis may have opened before the marker, so its marks need not come in pairs.
        # "\\text{Answer: } 5" leaves the brace.
        stated = strip_emphasis(stated.strip().lstrip("}:= \t").strip("*_ \t"))
        if stated.strip("."):
            return stated
    return None


def _first_sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip("*_:# \t")]
    if len(lines) > 1 and len(lines) <= _SYSTEM_LINES and all(map(_LINE_OF_SYSTEM.fullmatch, lines)):
        # A system of equations, one to a line.
        return ", ".join(lines)
    line = next(iter(lines), "")
    end = _SENTENCE_END.search(line)
    return line[: end.start()] if end else line


def read_gold(gold: str) -> list[str]:
    """The accepted answers that a gold field states: several where it is the text of a list of strings, else one.

    The packaging that data sets leave around an answer is removed: tags, \\boxed{}, the work before "####", a leading
    "Answer:". Blank answers are dropped, so that an empty list means that the gold is unusable.
    """
    text = repair_escapes(gold).strip()
    alternatives = _string_list(text)
    candidates = [text] if alternatives is None else alternatives
    return [answer for answer in map(_unwrap_gold, candidates) if answer.strip("$ \t\n")]


def _string_list(text: str) -> list[str] | None:
    """The elements of the text of a Python list of strings. A list of numbers is an answer, not a choice of answers."""
    if len(text) > _ALTERNATIVES_CHARACTERS or not _QUOTED_LIST.fullmatch(text):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(value, list) and value and all(isinstance(element, str) for element in value):
        return value
    return None


def _unwrap_gold(text: str) -> str:
    tagged = _last_answer_element(text)
    if tagged is not None:
        text = tagged
    if "####" in text:
        text = text.rpartition("####")[2]
    text = last_boxed(text) or _EMPTY_BOX.sub("", text)
    mark = _GOLD_ANSWER_MARK.search(text)
    return strip_emphasis(text[mark.end() :] if mark else text)
