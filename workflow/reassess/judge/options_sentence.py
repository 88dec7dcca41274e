"""Multiple choice: which letters a short sentence chooses, rejects or leaves open."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


class Hedge(frozenset[str]):
    """Letters among which an answer does not choose; they are never the set that is asked for."""


# Greek and Cyrillic letters look like Latin ones and are none; Chinese ones may touch a letter.
_ALPHABET = "A-Za-z0-9_\u00c0-\u024f\u0370-\u052f"
_BARE = rf"(?<![{_ALPHABET}'\\^°.])[A-Z](?![{_ALPHABET}'^°\u0300-\u036f]|[-+*/=]\w|\s*[=<>+*^≤≥≠]|\.\w)"
_NAMED = r"\b(?:options?|choices?|answers?|letters?|alternatives?)\s+"
_ITEM = rf"(?:(?:the\s+)?(?i:{_NAMED}))?(?:(?<![{_ALPHABET}\\])[(\[]\s*[A-Za-z]\s*[)\]]|{_BARE})"
_GROUP = re.compile(
    rf"{_ITEM}(?:\s*(?:,\s*(?:(?:and|or|nor)\s+)?|/|&|\b(?:and/or|and|or|nor)\s)\s*(?:also\s+)?{_ITEM})*"
)
_OPEN_GROUP = re.compile(r"\bor\b|/")
_REJECTED = re.compile(rf"(?i:\b(?:not|rather than|instead of|unlike|over|nor|neither)\s+){_GROUP.pattern}")
_SMALL_NAMED = re.compile(
    rf"({_NAMED}|\b(?:it(?:'s| is| must be)|choose|pick|select)\s+)([a-z])(?=\s*(?:[.,;:!]|$|(?:is|because|since)\b))",
    re.IGNORECASE,
)

_SENTENCE_GAP = re.compile(r"(?<=[.;!?])\s+")
_CLAUSE_BREAK = re.compile(
    r",\s*|\s+-+\s+|\s*(?:→|⇒|[=-]>|\\(?:Rightarrow|implies|to|therefore)(?![A-Za-z]))\s*"
    r"|(?<!\banything)(?<!\bnothing)(?<!\beverything)(?<!\ball)\s+(?=(?:so|but|and|hence|thus|therefore|because|since|as|although"
    r"|though|while|whereas|otherwise|leaving|which|actually)\b)",
    re.IGNORECASE,
)

_REASON = re.compile(r"\s*(?:because|since|as|for|given|due|considering|where|when)\b", re.I)
_JOINED_ON = re.compile(r"\s*(?:and|or)\b", re.I)
_RESUMED = re.compile(
    r"\s*(?:so|thus|hence|therefore|then|but|leaving|actually|which leaves|that leaves|the answer)\b", re.I
)
_CONDITION = re.compile(r"\b(?:if|unless|otherwise|depend(?:s|ing)|whether|whichever|suppose|assuming)\b", re.I)
_OPEN = re.compile(
    r"\beither\b(?! way)|\b(?:any of|unsure|undecided|toss-up|unclear)\b|\bnot (?:sure|certain)\b|\b(?:cannot|can't)"
    r" (?:decide|tell|determine|choose)\b",
    re.I,
)
_TENTATIVE = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|may|could|thought|wrote|guessed|initial(?:ly)?|first|originally"
    r"|tempt\w*|earlier|before|previous(?:ly)?|seemed|looked|mistake\w*|forget|trap|distractor|example)\b",
    re.I,
)
_POSSIBLE = re.compile(r"\b(?:maybe|perhaps|possibly|might|may|could|alternatively|else)\b", re.I)
_CORRECTION = re.compile(
    r"^\s*(?:but\s+|so\s+)?(?:no|nope)(?=\s*(?:[:,.!]|$))|\bno\s*$|\b(?:wait|actually|hold on|correction|sorry|oops|hmm"
    r"|scratch that|on second thoughts?|on reflection|let me correct)\b",
    re.I,
)
_NEGATION = re.compile(
    r"(?:\b(?:not|never|cannot|neither|nor|wrong|incorrect|false|rather than|instead of|other than|except(?: for)?"
    r"|(?:any|every|no)thing but|all but|unlike|versus|vs|no longer|nothing|none"
    r"|eliminat\w*|exclud\w*|reject\w*|discard\w*|rul(?:e|es|ed|ing) out|avoid\w*|refus\w*|declin\w*"
    r"|hesitat\w*|dismiss\w*|ignor\w*)\b|n't\b"
    r"|\b(?:over|than|against|without)\s*$)",
    re.I,
)
_NEGATION_ENDS = re.compile(
    r"\b(?:(?<!anything )(?<!nothing )(?<!everything )(?<!all )but|leaves?|leaving|so|then|hence|thus|therefore)\b",
    re.I,
)

_FILLER = (
    r"(?:\s*,)?(?:\s+(?:only|just|clearly|definitely|certainly|obviously|indeed|actually|probably|likely|then|with"
    r"|us|both|simply"
    r"|therefore|thus|hence|exactly|surely|really|now|instead|rather|the|an?|my|final|correct|right|best|option|choice"
    r"|letter|answer))*\s*[\"']?\s*$"
)
_STATED = re.compile(
    r"(?:\b(?:is|are|be|being|was|so|thus|hence|therefore|then|leaves?|leaving|remains?|left|namely|options?"
    r"|choices?|answers?"
    r"|ans|letters?|alternatives?)\b|'s\b|(?<!grade)(?<!type)(?<!class)(?<!section)(?<!group)(?<!team)(?<!step)(?<!row)"
    r"(?<!column)(?<!room)(?<!plan)(?<!figure)(?<!part)(?<!point):|=>|→|选择?|答案是?|选项|应为|故)" + _FILLER,
    re.I,
)
_CHOSEN = re.compile(
    r"\b(?:choose|chose|pick(?:ed)?|select(?:ed)?|go(?:ing)? (?:with|for)|went with|say|think|believe|guess|suspect"
    r"|take|opt for|opted for|looks? like|conclude|settle on|get|got|match(?:es|ing)?|corresponds? to)\b" + _FILLER,
    re.I,
)
_SAID_THAT = re.compile(
    r"\b(?:think|believe|say|guess|conclude|find|found|see|know|shows?|means?|implies|suggests?|that)(?:\s+that)?\s*$",
    re.I,
)
_OTHERS = re.compile(
    r"\b(?:students|people|many|others|some|most|they|who|everyone|someone|candidates|pupils|he|she|one|beginners"
    r"|you)\b",
    re.I,
)
_CONNECTORS = re.compile(
    r"\s*(?:(?:so|thus|hence|therefore|then|and|but|only|just|rather|actually|no|wait|yes|ok|okay|well|now|hmm|oh|sorry"
    r"|correction|instead|finally|definitely|clearly|obviously|certainly|probably|also|both|that|final|leaving"
    r"|although|though"
    r"|while|whereas|the|an?)"
    r"\b[\s:]*)*",
    re.I,
)
_CONTINUED = re.compile(
    r"\s*(?:$|[.,;:!)\]\"'(-]|(?:and(?!\s+[A-Z][A-Za-z0-9])|but|because|since|as|which|while|whereas|instead|rather"
    r"|over|here|too|again|only|alone|not|indeed|by|due|given|based|overall)\b)",
    re.I,
)
_ADVERB = r"(?:(?:also|indeed|clearly|definitely|therefore|thus|both|the|my|our|only|most|best|single|final)\s+)*"
_RIGHT = re.compile(
    rf"\s*(?:(?:is|are|must be|has to be|should be|would be)\s+{_ADVERB}"
    r"(?:correct|right|true|valid|answers?|choice|option|one|best|solution|it|left|remaining)\b"
    r"(?!\s+(?:of|to|(?:that|which)\s+(?!satisf|works|fits|match|holds|remains|is (?:correct|right|true))"
    r"|angled?|triangle|above|below|isosceles))"
    r"|(?:holds|works|fits|matches|remains|survives|wins|applies|satisfies)\b(?!\s+(?:no|neither|only)\b)"
    r"|(?:hold|work|fit|match|remain|survive|apply|satisfy)\b(?!\s+(?:no|neither|only)\b)(?P<several>)"
    r"|(?:is|has|shows|gives|represents)\s+(?:the\s+)?(?:\w{3,}est|most|least)\b(?!.*\b(?:wrong|incorrect|false"
    r"|not)\b))",
    re.I,
)
_BRACKETED = re.compile(rf"(?<![{_ALPHABET}\\])[(\[]([A-Z])[)\]]")
_LABELLED = re.compile(
    r"(?:\b(?:angles?|triangles?|figures?|fig\.?|points?|lines?|sides?|steps?|equations?|eq\.?|cases?|parts?|tables?"
    r"|vitamin"
    r"|plan|type|group|see|vertex|edges?|∠|\\angle|\\triangle)\s*|[=+*/^])$",
    re.I,
)
_RIGHT_ANGLES = re.compile(r"\b(?:angles?|triangles?)\b|∠|\\angle|\\triangle", re.I)


@dataclass(frozen=True)
class _Clause:
    text: str
    is_question: bool


@dataclass(frozen=True)
class _Claim:
    """Letters that a clause chooses. A statement that is called right need not be the answer: "A is true, so C"."""

    letters: frozenset[str]
    is_open: bool
    is_statement: bool


def letters_claimed(text: str, first: frozenset[str] = frozenset()) -> frozenset[str]:
    """The letters that a sentence chooses, a `Hedge` where it leaves several open, empty where it chooses none.

    A letter counts where it is said to be the answer; letters in reasons, in questions, behind "not" and behind a noun
    ("angle B", "figure C") do not. A later choice replaces an earlier one where the sentence says that it corrects it.
    `first` are letters chosen in front of the sentence.
    """
    text = _SMALL_NAMED.sub(lambda match: match[1] + match[2].upper(), text)
    if not first and not _GROUP.search(text):
        return first
    chosen, is_open, only_statements, corrected = first, False, not first, False
    for clause in _outside_reasons(text, bool(first)):
        corrected |= bool(_CORRECTION.search(clause.text))
        if _CONDITION.search(clause.text) or _OPEN.search(clause.text):
            is_open = True
        if chosen and not corrected and _POSSIBLE.search(clause.text) and _GROUP.search(clause.text):
            is_open = True
        claim = None if clause.is_question else _claim_of(clause.text)
        if claim is None:
            continue
        if corrected or (only_statements and not claim.is_statement):
            chosen, is_open = frozenset(), is_open and not corrected
        only_statements = claim.is_statement and (only_statements or corrected)
        chosen, is_open, corrected = chosen | claim.letters, is_open or claim.is_open, False
    return Hedge(chosen) if is_open else chosen


def _outside_reasons(text: str, is_chosen: bool) -> Iterator[_Clause]:
    """The clauses that give no reason. A reason behind a choice lasts until "so", one in front of it until a comma."""
    in_reason = False
    for clause in _clauses(text):
        if clause is None:
            in_reason = False
        elif _REASON.match(clause.text):
            in_reason = True
        elif not in_reason or _RESUMED.match(clause.text) or not (is_chosen or _JOINED_ON.match(clause.text)):
            in_reason = False
            is_chosen = is_chosen or bool(_GROUP.search(clause.text))
            yield clause


def letters_in_brackets(text: str) -> frozenset[str]:
    """The letters in brackets that a sentence neither rejects nor asks about: "The figure shows that (C) holds"."""
    found: set[str] = set()
    for clause in _outside_reasons(text, False):
        if clause.is_question or _TENTATIVE.search(clause.text):
            continue
        for match in _BRACKETED.finditer(clause.text):
            before, after = clause.text[: match.start()], clause.text[match.end() :]
            if _is_negated(before) or _LABELLED.search(before):
                continue
            if _CONTINUED.match(after) or _is_right(after, 1):
                found.add(match[1])
    return frozenset(found)


def letters_listed(text: str) -> frozenset[str]:
    """The letters that begin parts of a text, as a repeated list of options has them, and those behind "or"."""
    found = re.findall(r"(?<![A-Za-z0-9\\])[(\[]([A-Z])[)\]]|(?<![A-Za-z0-9\\.])([A-Z])[).:](?=\s|$)", text)
    found += re.findall(r"(?:[,;/&]|\b(?:and|or|maybe)\b)\s*(?:maybe\s+)?([A-Z])(?:\s*[(:]|\s*$)()", text)
    found += re.findall(r"\(([A-Z])\s*\?\s*\)()", text)
    found += re.findall(r"\b(?:or|option|choice)\s+(?:maybe\s+)?[(\[]?([A-Z])(?![A-Za-z'])()", text)
    return frozenset(first or second for first, second in found)


def without_rejected(text: str) -> str:
    """A text without reasons, remarks in parentheses of several words, and letters that are turned down."""
    text = re.sub(r"\([^()]*\)", lambda remark: " " if _is_aside(remark[0]) else remark[0], text)
    text = re.sub(r"[,;]?\s*\b(?:because|since|as)\b[^.;]*", " ", text, flags=re.I)
    return _REJECTED.sub(" ", text)


def _is_aside(remark: str) -> bool:
    return (
        remark.count(" ") > 1
        and not re.search(r"\b(?:or|also|and|alternatively)\b", remark)
        and not _POSSIBLE.search(remark)
    )


def _clauses(text: str) -> Iterator[_Clause | None]:
    """The clauses of a text, with None behind each sentence."""
    for sentence in _SENTENCE_GAP.split(text):
        is_question = sentence.rstrip().endswith("?")
        inside = [match.span() for match in _GROUP.finditer(sentence)]
        start = 0
        for gap in _CLAUSE_BREAK.finditer(sentence):
            if any(left < gap.start() and gap.end() < right for left, right in inside):
                continue
            yield _Clause(sentence[start : gap.start()], is_question)
            start = gap.end()
        yield _Clause(sentence[start:], is_question)
        yield None


def _claim_of(clause: str) -> _Claim | None:
    letters: set[str] = set()
    is_open, is_statement = False, True
    if _TENTATIVE.search(clause):
        return None
    previous = 0
    for group in _GROUP.finditer(clause):
        before, after = clause[previous : group.start()], clause[group.end() :]
        previous = group.end()
        if _is_negated(clause[: group.start()]) or re.search(r"\bnor\b", group[0]):
            continue
        found = frozenset(letter.upper() for letter in re.findall(r"\b[A-Za-z]\b", group[0]))
        statement = _is_right(after, len(found)) and not _said_of_an_angle(clause, group[0])
        if not (_is_named(before, after) or (statement and _may_be_subject(before, group[0]))):
            continue
        letters |= found
        is_open |= bool(_OPEN_GROUP.search(group[0]))
        is_statement &= statement
    return _Claim(frozenset(letters), is_open, is_statement) if letters else None


def _is_named(before: str, after: str) -> bool:
    """Whether a letter stands where an answer is stated: "it is B", "so B", "I choose B", or alone."""
    if not _CONTINUED.match(after):
        return False
    if _CONNECTORS.fullmatch(before) or _STATED.search(before):
        return True
    return bool(_CHOSEN.search(before)) and not _OTHERS.search(before)


def _may_be_subject(before: str, group: str) -> bool:
    if _CONNECTORS.fullmatch(before) or group[0] in "([":
        return True
    return bool(_SAID_THAT.search(before)) and not _OTHERS.search(before)


def _is_right(after: str, letters: int) -> bool:
    match = _RIGHT.match(after)
    # "A match" is a noun, "A and B match" a statement.
    return match is not None and (letters > 1 or match["several"] is None)


def _said_of_an_angle(clause: str, group: str) -> bool:
    return bool(_RIGHT_ANGLES.search(clause.replace(group, " ")))


def _is_negated(before: str) -> bool:
    ends = [match.end() for match in _NEGATION_ENDS.finditer(before)]
    return bool(_NEGATION.search(before[ends[-1] :] if ends else before))
