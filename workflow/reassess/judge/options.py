"""Multiple choice: which option a reply names, by letter or by text."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from reassess.judge.normalize import fold_unicode, math_key, strip_emphasis, strip_math_delimiters, unwrap_text_commands
from reassess.judge.options_sentence import (
    Hedge,
    letters_claimed,
    letters_in_brackets,
    letters_listed,
    without_rejected,
)
from reassess.judge.options_text import (
    claimed_matches,
    exact_matches,
    holds_short_option,
    leading_yes_no,
    mark_options,
    mask_options,
    matching,
    value_matches,
    without_prefixes,
)

_ANSWER_CHARACTERS = 2_000
_SENTENCE_CHARACTERS = 300
_EXPLANATION_CHARACTERS = 600

_ALONE = re.compile(r"[(\[{<]?\s*([A-Za-z])\s*[)\]}>]?\s*[.:)!]?")
_PART = r"[(\[]?[A-Za-z][)\].]?"
_SEVERAL = re.compile(
    rf"(?:both\s+)?{_PART}(?:\s*(?:,|;|/|&|\band/or\b|\band\b|\bor\b)\s*(?:and\s+|or\s+)?{_PART}"
    rf"|\s+[(\[]?[A-Z][)\].]?)+",
    re.IGNORECASE,
)
_RUN_TOGETHER = re.compile(r"[A-Z]{2,6}")
_LEADING = re.compile(
    r"(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Za-z])\s*(?:[).:]|,(?!\s*[A-Z]\b)|(?=\())|([A-Z])\s+-)\s*(.*)", re.DOTALL
)
_NAMED = re.compile(
    r"(?i:the\s+)?(?i:option\b|opt\.|choice\b|answer\b|ans\b\.?|letter\b)\s*[:-]?\s*[(\[]?"
    r"([A-Z](?![A-Za-z'])|[a-z](?=\s*(?:[)\].:,]|$)))(?:[)\].:,]+|(?=\s*\()|(?=\s+(?:because|since|as)\b)|$)\s*(.*)",
    re.DOTALL,
)
_LETTER_AND_TEXT = re.compile(r"([A-Z])\s+(.+)", re.DOTALL)
_TEXT_AND_LETTER = re.compile(r"(.*\S)\s*[(\[]([A-Z])[)\]]", re.DOTALL)
# What is written about letters without naming another choice: "D) Both A and B".
_ABOUT_LETTERS = re.compile(r"(?:both|neither|all|none|only|[A-Z](?:,? (?:and )?[A-Z])* only)\b", re.IGNORECASE)
# Verbs with which a sentence about a letter goes on: "(B) fails for x = 0".
_PREDICATE = re.compile(
    r"(?:is|are|was|were|must|can|cannot|can't|isn't|has|have|does|doesn't|would|could|might|may|looks?|seems?"
    r"|appears?|fails?"
    r"|ignores?|misses|confuses|contradicts|violates|says?|claims?|states?|assumes?|requires?|works?|fits|holds"
    r"|needs?)\b"
)
_WEIGHED = re.compile(r"\bor\b|[?%]")
_BRACKETED_LIST = re.compile(r"\\?[(\[{]([^()\[\]{}\\]*)\\?[)\]}]")

# Text that a reader does not see, or sees struck out.
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|$)|~~.*?~~|<(s|del|strike)>.*?</\1>|[^\W\d_][\u0335-\u0338]"
    r"|<(span|p|div)\b[^<>]{0,200}(?:display\s*:\s*none|hidden)[^<>]{0,200}>.*?</\2>"
    r"|\\(?:sout|st|cancel|bcancel|xcancel|phantom|hphantom|vphantom)\s*\{[^{}]*\}"
    r"|\\textcolor\s*\{white\}\s*\{[^{}]*\}|\{\s*\\color\s*\{white\}[^{}]*\}|\\iffalse\b.*?(?:\\fi\b|$)"
    # A percent sign begins a LaTeX comment, but not behind a number.
    r"|(?<![\\0-9])(?<![0-9] )%[^\n]*",
    re.DOTALL | re.IGNORECASE,
)
_HTML_TAG = re.compile(r"</?(?:b|strong|em|i|u|code|mark|p|br|span|font|div)\b[^<>]{0,100}>")
_TICK = re.compile(r"^[✓✔✅☑👉➡]\ufe0f?\s*|\s*[✓✔✅☑]\ufe0f?$")
_COLOUR = re.compile(
    r"\\(?:underline|(?:text)?color\s*\{[^{}]*\})(?:\s*\{([^{}]*)\})?|\\(?:left|right|Large|large)(?![A-Za-z])"
)
_QUOTED_LETTER = re.compile(r"([\"'*_`])([(\[]?[A-Z][)\]]?[.:)]?)\1(?=\s*(?:[,\])}.]|$))")
_LINE_END = re.compile(r"(?<![.;:,!?\s])[ \t]*\n\s*")
_LATEX_SPACE = re.compile(r"(?<!\\)\\(?:[,;:!> ]|q?quad(?![A-Za-z]))")
_BOLD_LETTER = re.compile(r"\*\*\s*[(\[]?([A-Z])[)\]]?[.:)]?\s*\*\*(?=\s*[\w(])")


@dataclass(frozen=True)
class Key:
    """The right choice: letters, all of which must be named, or a text where the options are not known."""

    letters: frozenset[str] = frozenset()
    text: str | None = None


def read_key(gold: str, options: Sequence[str] | None) -> Key | None:
    """The right choice that a gold states, or None where it is no option.

    It may be a letter, several letters, a letter with its text, an option's text, or with options given a zero-based
    index. A digit string that is itself an option is that option and no index. The text of two different options is
    none.

    Raises:
        RuntimeError: the symbolic worker cannot be started.
    """
    text = _plain(gold) if len(gold) <= _ANSWER_CHARACTERS else ""
    if not text:
        return None
    letters = frozenset(_letters_alone(text))
    leading = _LEADING.fullmatch(text) or _NAMED.fullmatch(text)
    named = next(filter(None, leading.groups()[:-1]), "").upper() if leading else ""
    if options is None:
        if letters:
            return Key(letters) if len(letters) == 1 or text == _upper_items(text) else Key(text=text)
        is_letter = leading is not None and bool(leading[leading.re.groups] or _NAMED.fullmatch(text))
        return Key(frozenset(named)) if is_letter and named in text else Key(text=text)
    valid = _valid_letters(options)
    texts = without_prefixes(options)
    if len(letters) == 1 and letters <= valid:
        return Key(letters)
    matches = _key_matches(text, texts, options)
    if matches:
        same = len({_option(letter, options) for letter in matches}) == 1
        return Key(frozenset(matches[0])) if same else None
    if letters and letters <= valid:
        return Key(letters)
    if re.fullmatch("[0-9]+", text):
        index = int(text) if len(text) < 3 else len(options)
        return Key(frozenset(string.ascii_uppercase[index])) if index < len(valid) else None
    return Key(frozenset(named)) if named and named in valid else None


def _key_matches(text: str, texts: Sequence[str], options: Sequence[str]) -> list[str]:
    found = exact_matches(text, texts) or exact_matches(text, options)
    # "B. 15" states a letter, whatever its value is.
    return found or ([] if _LEADING.fullmatch(text) else value_matches(text, texts))


def _upper_items(text: str) -> str:
    return re.sub(r"(?<![A-Za-z])[a-z](?![A-Za-z])", lambda letter: letter[0].upper(), text)


def read_choice(answer: str, options: Sequence[str] | None) -> frozenset[str]:
    """The letters that an answer names, empty where it names none, a `Hedge` where it leaves several open.

    A letter in any usual form wins over a text beside it; without one, the text of exactly one option counts, and a
    text that two options share names neither. An answer with a letter that is no option names none.

    Raises:
        RuntimeError: the symbolic worker cannot be started.
    """
    if len(answer) > _ANSWER_CHARACTERS:
        return frozenset()
    seen = _TICK.sub("", _BOLD_LETTER.sub(r"(\1)", _HTML_TAG.sub(" ", _UNSEEN.sub(" ", answer))).strip())
    text = _plain(seen)
    # The end of a line ends a sentence.
    lines = _plain(_LINE_END.sub(". ", seen))
    valid = _valid_letters(options)
    letters = _letters_alone(text)
    if len(letters) == 1 and letters <= valid:
        return letters
    if options is None:
        return _known(letters or _leading_letter(lines, None) or _letters_in_sentence(lines), valid)
    texts = without_prefixes(options)
    matches = exact_matches(text, texts)
    if matches:
        return frozenset(matches) if len(matches) == 1 else frozenset()
    leading = _LEADING.fullmatch(text)
    if letters and not (leading and exact_matches(leading[4], texts)):
        return _known(letters, valid)
    named = _leading_letter(lines, texts)
    if named:
        return _known(named, valid)
    matches = leading_yes_no(text, texts) or value_matches(text, texts)
    if matches:
        return frozenset(matches) if len(matches) == 1 else frozenset()
    return _read_sentence(lines, texts, valid)


def same_choice(key: Key, chosen: frozenset[str], options: Sequence[str] | None) -> bool:
    """Whether the letters chosen are the key's; a repeated option may be named by either of its letters."""
    if isinstance(chosen, Hedge) or not chosen:
        return False
    if chosen == key.letters:
        return True
    if options is None:
        return False
    return {_option(letter, options) for letter in chosen} == {_option(letter, options) for letter in key.letters}


def _option(letter: str, options: Sequence[str]) -> str:
    return math_key(without_prefixes(options)[string.ascii_uppercase.index(letter)])


def _plain(text: str) -> str:
    text = _COLOUR.sub(lambda match: match[1] or " ", text) if "\\" in text else text
    text = _LATEX_SPACE.sub(" ", unwrap_text_commands(strip_math_delimiters(fold_unicode(text))))
    text = strip_emphasis(re.sub(r"\s+", " ", text).strip()).replace("**", "")
    text = _QUOTED_LETTER.sub(r"\2", text)
    return text.rstrip(" .,;").lstrip(" ,;}")


def _valid_letters(options: Sequence[str] | None) -> frozenset[str]:
    return frozenset(string.ascii_uppercase[: 26 if options is None else len(options)])


def _known(letters: frozenset[str], valid: frozenset[str]) -> frozenset[str]:
    return letters if letters <= valid else frozenset()


def _letters_alone(text: str) -> frozenset[str]:
    """The letters of an answer that consists of nothing but letters."""
    single = _ALONE.fullmatch(text)
    if single:
        return frozenset(single[1].upper())
    inside = _BRACKETED_LIST.fullmatch(text)
    if inside and _SEVERAL.fullmatch(inside[1].strip()):
        text = inside[1].strip()
    if _SEVERAL.fullmatch(text):
        found = frozenset(letter.upper() for letter in re.findall(r"\b[A-Za-z]\b", text))
        return Hedge(found) if re.search(r"/|\bor\b", text, re.IGNORECASE) else found
    if _RUN_TOGETHER.fullmatch(text) and list(text) == sorted(set(text)):
        return frozenset(text)
    return frozenset()


def _leading_letter(text: str, options: Sequence[str] | None) -> frozenset[str]:
    """The letter with which an answer begins, and those which the rest of it names as well."""
    match = _LEADING.fullmatch(text) or _NAMED.fullmatch(text)
    if match:
        letter, rest = next(filter(None, match.groups()[:-1])).upper(), match[match.re.groups].strip()
        if options is not None and matching(rest, options):
            return frozenset(letter)
        return frozenset() if _PREDICATE.match(rest) else _with_further(frozenset(letter), rest)
    match = _LETTER_AND_TEXT.fullmatch(text)
    if match and options is not None:
        matches = matching(match[2], options)
        if match[1] in matches or (matches and match[1] not in "AI"):
            return frozenset(match[1])
    return frozenset()


def _with_further(first: frozenset[str], rest: str) -> frozenset[str]:
    if not rest or _ABOUT_LETTERS.match(rest):
        return first
    rest = without_rejected(rest[:_EXPLANATION_CHARACTERS])
    claimed, listed = letters_claimed(rest, first), letters_listed(rest)
    if isinstance(claimed, Hedge) or not first <= claimed:
        return claimed
    further = claimed | listed
    return Hedge(further) if further - first and _WEIGHED.search(rest) else further


def _letters_in_sentence(text: str) -> frozenset[str]:
    if len(text) > _SENTENCE_CHARACTERS:
        return frozenset()
    return letters_claimed(text) or letters_in_brackets(text)


def _read_sentence(text: str, options: Sequence[str], valid: frozenset[str]) -> frozenset[str]:
    if len(text) > _SENTENCE_CHARACTERS:
        return frozenset()
    behind = _TEXT_AND_LETTER.fullmatch(text)
    if behind and (matches := exact_matches(behind[1], options)) and behind[2] not in matches:
        # In "cytosine (C)" the letter may be an abbreviation.
        return frozenset()
    letters = _letters_in_sentence(mask_options(text, options))
    if letters & valid:
        return frozenset() if _names_by_label(letters, text, options) else _known(letters, valid)
    claimed = claimed_matches(text, options)
    if claimed:
        return frozenset(claimed) if len(claimed) == 1 else frozenset()
    return _texts_in_sentence(text, options)


_UNCLEAR = re.compile(
    r"\b(?:not|no|never|neither|nor|none|cannot|or|either|if|unless|whether|except|but|maybe|perhaps|possibly|might|may"
    r"|could|wrong|incorrect|false|opposite|depends?|unclear|unsure|sorry|out|ruled|eliminated|excluded|unlike"
    r"|versus|vs"
    r"|instead|rather|first|thought)\b|n't\b|\?|\b(?:than|without|against|before|after|from)(?: the| an?)? \([A-Z]\)",
    re.IGNORECASE,
)
# In "dark red" and "square pyramid" the words beside an option's text make it another thing.
_BEFORE_TEXT = re.compile(
    r"(?:^|[,.:;!-]|\b(?:is|are|was|were|be|it's|that's|will|must|should|would|does|do|can|that|in|on|at|by|to|of"
    r"|for|with|called"
    r"|named|only|so|hence|thus|therefore|then|show|shows|see|choose|pick|say|think|answer|contains?|means?|this))\W*$",
    re.IGNORECASE,
)
_AFTER_TEXT = re.compile(
    r"\W*(?:$|[,.:;!]|(?:is|are|was|were|has|have|had|in|on|at|of|for|with|by|to|which|that|when|who|will|does|did"
    r"|can|must"
    r"|grew|fell|rose|won|lost|gained|sold|made|came|got|went|took|held|led|here|too|again|one|ones|option|choice"
    r"|answer"
    r"|triangle|bar|line|curve|graph|ball|box)\b|\w+(?:s|ed)\s)",
    re.IGNORECASE,
)
_STATED_LAST = re.compile(r".*\b(?:is|are|was|equals|named|called|=)\s+(?:the |an? )?([^\s,]{1,20})", re.DOTALL)


def _names_by_label(letters: frozenset[str], text: str, options: Sequence[str]) -> bool:
    """Whether the letter of a sentence may be a name from an option: "The plan is B" beside the option "Plan B"."""
    labels = [match for option in options if (match := re.fullmatch(r"(\w+) ([A-Z])", option.strip()))]
    return any(label[2] in letters and re.search(rf"\b{label[1]}\b", text, re.IGNORECASE) for label in labels)


def _texts_in_sentence(text: str, options: Sequence[str]) -> frozenset[str]:
    """The option that a sentence names by its text, as the only one and without taking it back."""
    marked, named = mark_options(text, options)
    if named and holds_short_option(text, options):
        return frozenset()
    claimed = letters_claimed(marked) if named else frozenset()
    if claimed:
        return claimed
    kept = without_rejected(marked)
    still = {letter for letter in named if f"({letter})" in kept}
    if len(still) == 1 and not _UNCLEAR.search(kept) and _stands_free(kept):
        return frozenset(still)
    last = _STATED_LAST.fullmatch(text) if not named else None
    if last and not _UNCLEAR.search(text[: last.start(1)]):
        matches = exact_matches(last[1], options)
        return frozenset(matches) if len(matches) == 1 else frozenset()
    return frozenset()


def _stands_free(marked: str) -> bool:
    spots = list(re.finditer(r"\([A-Z]\)", marked))
    return all(_BEFORE_TEXT.search(marked[: m.start()]) and _AFTER_TEXT.match(marked[m.end() :]) for m in spots)
