"""Spelling: one form for the many ways in which the same text or formula is written.

Nothing here decides what is equal; it removes differences that carry no meaning (Unicode variants, LaTeX layout,
escapes that a JSON or Python round trip broke) and keeps every one that does.
"""

import re
import unicodedata
from functools import lru_cache

from reassess.judge.numerals import SMALL

# The rules for formulas are not linear in the length of the text, and no answer comes near this.
MATH_CHARACTERS = 1_000

_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("−–—‒―‐‑﹣－", "-"),
        **dict.fromkeys("‘’‛", "'"),
        **dict.fromkeys("“”„‟", '"'),
        **dict.fromkeys("º˚", "°"),
        **dict.fromkeys("≤≦⩽", "≤"),
        **dict.fromkeys("≥≧⩾", "≥"),
        **dict.fromkeys("≈≃≅", "≈"),
        **dict.fromkeys("×✕✖", "\\times "),
        **dict.fromkeys("·⋅∙", "\\cdot "),
        **dict.fromkeys("∗＊", "*"),
        "÷": "\\div ",
        "√": "\\sqrt ",
        "∛": "\\sqrt[3]",
        "π": "\\pi ",
        "θ": "\\theta ",
        "⁄": "/",
        "∕": "/",
        **dict.fromkeys("⟨〈", "("),
        **dict.fromkeys("⟩〉", ")"),
        **dict.fromkeys("∅⌀", "\\emptyset "),
        "∠": "\\angle ",
        "∡": "\\angle ",
        "∓": "\\mp ",
        "∖": "\\setminus ",
        "ℝ": "\\mathbb{R}",
        "ℤ": "\\mathbb{Z}",
        "ℕ": "\\mathbb{N}",
        "∶": ":",
        "□": " ",
        "。": ".",
        "、": ",",
        "½": " 1/2",
        "⅓": " 1/3",
        "⅔": " 2/3",
        "¼": " 1/4",
        "¾": " 3/4",
        "⅕": " 1/5",
        "⅛": " 1/8",
    }
)
_SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPT = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUPERSCRIPT_RUN = re.compile("[" + "".join(_SUPERSCRIPT) + "]+")
_SUBSCRIPT_RUN = re.compile("[" + "".join(_SUBSCRIPT) + "]+")

# An escape such as \f or \t that was interpreted once too often leaves a control character and the rest of the command.
_BROKEN_ESCAPES = (
    (re.compile(r"\x0c(?=[a-z])"), r"\\f"),
    (re.compile(r"\x08(?=[a-z])"), r"\\b"),
    (re.compile(r"\x07(?=[a-z])"), r"\\a"),
    (re.compile(r"\x0b(?=[a-z])"), r"\\v"),
    (re.compile(r"\t(?=(?:ext|frac|extbf)\s*\{|(?:imes|heta|au|an|riangle)\b)"), r"\\t"),
    (re.compile(r"\r(?=(?:ight|angle|floor|ceil)\b|ight[\])}.|])"), r"\\r"),
    (re.compile(r"\n(?=(?:eq|abla)\b)"), r"\\n"),
)
_CONTROL = re.compile(r"[\x07\x08\x0b\x0c\t\r]|\n(?:eq|abla)\b")
# The first bytes of UTF-8 sequences as Latin-1, with what follows them; and any run of Chinese characters, which is
# hardly ever UTF-8 when written in GBK.
_LATIN_MOJIBAKE = re.compile("[\u00c2-\u00c5\u00ce\u00cf][\u0080-\u00bf]|\u00e2[\u0080-\u00bf\u0152-\u2122]{2}")
_GBK_MOJIBAKE = re.compile("[\u4e00-\u9fff]{1,40}")


def repair_escapes(text: str) -> str:
    """Restores what a wrong round trip broke.

    LaTeX commands whose backslash was swallowed (a form feed and "rac{1}{2}" is "\\frac{1}{2}"), and UTF-8 that was
    read as Latin-1 or GBK ("Ã¡" is "á", "掳" is "°").
    """
    if not text.isascii():
        text = _LATIN_MOJIBAKE.sub(lambda run: _decoded(run[0], "cp1252"), text)
        text = _GBK_MOJIBAKE.sub(lambda run: _decoded(run[0], "gbk"), text)
    if not _CONTROL.search(text):
        return text
    for pattern, command in _BROKEN_ESCAPES:
        text = pattern.sub(command, text)
    return text


def _decoded(text: str, encoding: str) -> str:
    try:
        return text.encode(encoding).decode("utf-8")
    except UnicodeError:
        return text


def fold_unicode(text: str) -> str:
    """One spelling per character: NFKC, ASCII digits, no invisible characters, and LaTeX where ASCII has no sign.

    Superscripts become exponents and vulgar fractions become mixed numbers first, because NFKC reads "x²" as "x2"
    and "3½" as "31/2".
    """
    if text.isascii():
        return text
    text = text.translate(_CHARACTERS)
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPT[c] for c in run[0]) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + "".join(_SUBSCRIPT[c] for c in run[0]) + "}", text)
    text = unicodedata.normalize("NFKC", text).translate(_CHARACTERS)
    return text if text.isascii() else "".join(map(_fold_character, text))


def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character) == "Cf":
        return ""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


_WRAPPERS = (("**", "**"), ("__", "__"), ("`", "`"), ('"', '"'), ("'", "'"))


def strip_emphasis(text: str) -> str:
    """Removes Markdown emphasis, code marks and quotation marks that enclose the whole text."""
    text = text.strip()
    changed = True
    while changed:
        changed = False
        for left, right in _WRAPPERS:
            inside = text[len(left) : -len(right)]
            if text.startswith(left) and text.endswith(right) and inside.strip() and left not in inside:
                text, changed = inside.strip(), True
    return text


_TEXT_COMMAND = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|bb|cal|normal)|mbox|hbox|emph|operatorname\*?"
    r"|boldsymbol|bm)\s*\{([^{}]*)\}"
)
_FONT_SWITCH = re.compile(r"\{\s*\\(?:rm|bf|it|sf|tt)\b\s*([^{}]*)\}")
_NESTED_TEXT_LEVELS = 4


def unwrap_text_commands(text: str) -> str:
    """Replaces \\text{...}, \\mathrm{...} and their like by their content, set off by spaces."""
    if "\\" not in text:
        return text
    for _ in range(_NESTED_TEXT_LEVELS):
        unwrapped = _FONT_SWITCH.sub(r" \1 ", _TEXT_COMMAND.sub(r" \1 ", text))
        if unwrapped == text:
            break
        text = unwrapped
    return text


def strip_math_delimiters(text: str) -> str:
    """Removes $...$, $$...$$, \\(...\\) and \\[...\\]; a dollar sign that is money becomes "USD"."""
    if "$" in text:
        text = text.replace("\\$", " USD ")
        # An odd sign out cannot be a delimiter.
        text = text.replace("$", " USD " if text.count("$") % 2 else " ")
    return re.sub(r"(?<!\\)\\[()\[\]]", " ", text) if "\\" in text else text


_FUNCTIONS = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|csc|log|ln|exp|sqrt|pi|theta|alpha|beta|gamma|lambda|omega"
    "|sec(?=\\s*\\()|max(?=\\s*\\()|min(?=\\s*\\()"
)

# Order matters: each rule may rely on the ones above it.
_LATEX_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"(?<![A-Za-z\\])R\s*(?:\\setminus(?![A-Za-z])|\\backslash(?![A-Za-z])|\\\s|-)\s*(?=(?:\\left\s*)?\\?\{)",
            "R∖",
        ),
        # What is not shown, or struck out, is not said.
        (r"\\(?:[hv]?phantom|[bx]?cancel|sout)\s*\{[^{}]*\}", " "),
        (r"\\(?:left|right)\s*\.", ""),
        (r"\\(?:left|right|displaystyle|textstyle|limits|nolimits|[bB]igg?[lrm]?)(?![A-Za-z])", ""),
        (r"\\!", ""),
        (r"\{,\}", ","),
        (r"(?<!\\)\\(?:[,;:> ]|quad(?![A-Za-z])|qquad(?![A-Za-z])|enspace|thinspace)|~", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:leqslant|leq|le)(?![A-Za-z])|<=", "≤"),
        (r"\\(?:geqslant|geq|ge)(?![A-Za-z])|>=", "≥"),
        (r"\\(?:neq|ne)(?![A-Za-z])|!=|\\not\s*=", "≠"),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:approx|simeq|cong)(?![A-Za-z])|~=", "≈"),
        (r"\\cup(?![A-Za-z])|(?<=[)\]])\s*U\s*(?=[\[(])", "∪"),
        (
            r"\\varnothing(?![A-Za-z])|^\s*\\\{\s*\\\}\s*$"
            r"|^\s*(?:[Tt]here (?:is|are) )?[Nn]o (?:real )?solutions?\s*\.?\s*$",
            r"\\emptyset",
        ),
        (r"\\colon(?![A-Za-z])", ":"),
        # The ends of an open interval in European notation.
        (r"\]([^\[\](){}∪]{1,40}[,;][^\[\](){}∪]{1,40})\[", r"(\1)"),
        (r"\]([^\[\](){}∪]{1,40}[,;][^\[\](){}∪]{1,40})\]", r"(\1]"),
        (r"\[([^\[\](){}∪]{1,40}[,;][^\[\](){}∪]{1,40})\[", r"[\1)"),
        (r"\\in(?![A-Za-z])", "∈"),
        (r"\\pm(?![A-Za-z])|\+/?-", "±"),
        (r"\\infty(?![A-Za-z])|(?<![\\A-Za-z])(?:infinity|inf)(?![A-Za-z])", "∞"),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\langle(?![A-Za-z])", "("),
        (r"\\rangle(?![A-Za-z])", ")"),
        (r"\\lg(?![A-Za-z])", r"\\log_{10}"),
        (r"\\%|\s*(?<![A-Za-z])(?:percent|per cent|pct)(?![A-Za-z])", "%"),
        (r"\s*\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![A-Za-z]))", "°"),
        (r"\\(?:circ|degree)(?![A-Za-z])", "°"),
        (r"\{\s*(degrees?)\s*\}", r" \1"),
        (rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])", r"\\\1 "),
        (r"\\sqrt\s+(?=[\[{(])", r"\\sqrt"),
        (r"\\sqrt\s*([0-9]+|[A-Za-z])", r"\\sqrt{\1}"),
        (r"\\sqrt(\[[^\[\]]*\])\s*([0-9]+|[A-Za-z])", r"\\sqrt\1{\2}"),
        (r"\\frac\s*([0-9A-Za-z])\s*([0-9A-Za-z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*([0-9A-Za-z])\s*(?=\{)", r"\\frac{\1}"),
        (r"\\frac\s*(\{[^{}]*\})\s*([0-9A-Za-z])", r"\\frac\1{\2}"),
        (r"\\frac\s*(\{[^{}]*\})\s*\{", r"\\frac\1{"),
        (r"\*\*", "^"),
        (r"\s*\^\s*(-?[0-9]+|[A-Za-z])", r"^{\1}"),
        (r"\s*\^\s*\(([^()]*)\)", r"^{\1}"),
        (r"\s+\^", "^"),
        (r"_\s*([0-9A-Za-z])", r"_{\1}"),
    )
)
# "k is any integer" behind a family of solutions says what everybody knows of k.
_INTEGER_PARAMETER = re.compile(
    r"[,;]?\s*\(?\s*(?:(?:where|with|for|and)\s)?\s*[a-z]\s*(?:∈\s*\{?\s*(?:Z|N)\s*\}?|is (?:an|any) integer)\s*\)?\s*$"
)
_APPROXIMATELY = re.compile(r"^(?:≈|approximately|approx\.?|about|roughly)\s*", re.IGNORECASE)
_WHITE_SPACE = re.compile(r"\s+")


@lru_cache(maxsize=8192)
def normalize_math(text: str) -> str:
    """A formula, a number or a phrase in one notation.

    Relations, unions, ± and ∞ are single Unicode characters, everything else is plain LaTeX with explicit braces, no
    layout commands and single spaces. Spaces are kept where a reader needs them: "1 1/2" is not "11/2".
    """
    text = _WHITE_SPACE.sub(" ", fold_unicode(repair_escapes(text)))
    text = unwrap_text_commands(strip_emphasis(strip_math_delimiters(text)))
    if "\\" in text and "\\begin" not in text:
        text = re.sub(r"\\\\", " ", re.sub(r"\\\\(?=[A-Za-z])", r"\\", text))
    for pattern, replacement in _LATEX_RULES:
        text = pattern.sub(replacement, text)
    text = _brace_root_arguments(text)
    text = _WHITE_SPACE.sub(" ", text).rstrip(" .,;:?").lstrip(" ,;:?")
    return _APPROXIMATELY.sub("", _INTEGER_PARAMETER.sub("", text))


def _brace_root_arguments(text: str) -> str:
    """Writes \\sqrt(...) with braces, so that the parser takes the whole parenthesis as the radicand."""
    start = text.find("\\sqrt(")
    while start >= 0:
        opening = start + len("\\sqrt")
        closing = _matching_parenthesis(text, opening)
        if closing is None:
            return text
        text = f"{text[:opening]}{{{text[opening + 1 : closing]}}}{text[closing + 1 :]}"
        start = text.find("\\sqrt(", opening)
    return text


def _matching_parenthesis(text: str, opening: int) -> int | None:
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return None


_LOOSE_SPACE = re.compile(r"(?<![0-9]) +| +(?![0-9])")


def squeeze(text: str) -> str:
    """A normalised formula without the spaces that carry no meaning."""
    return _LOOSE_SPACE.sub("", text)


def math_key(text: str) -> str:
    """A text that is the same for two spellings of one formula; texts too long to be one are left as they are."""
    return text if len(text) > MATH_CHARACTERS else squeeze(normalize_math(text))


# Between digits . : / separate, and before digits - and + are signs: 3.5 is not 35, 5:0 is not 50, -5 is not 5.
# A closing - is kept for the sake of grades, charges and blood groups.
_TEXT_TOKEN = re.compile(
    r"(?:(?<![^\W_])[-+])?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+|(?<![0-9])\.[0-9]+)(?:[.:/][0-9]+)*%?"
    r"|[^\W\d_]+|(?<=[^\W_])-(?![\w-])|[^\w\s-]|[^\W_]"
)
_SPACED_COLON = re.compile(r"(?<=[0-9]) ?: ?(?=[0-9])")
# Larger numbers are hardly ever written in words.
_DIGITS_OF = {word: str(number) for word, number in SMALL.items() if number <= 12}
_ARTICLES = frozenset({"a", "an", "the"})
_MARKUP = frozenset("$^`~|\\")


def text_tokens(text: str) -> list[str]:
    """The words, numbers and mathematical signs of a text, without case, punctuation and white space."""
    folded = fold_unicode(unwrap_text_commands(repair_escapes(text))).casefold()
    tokens = _TEXT_TOKEN.findall(_SPACED_COLON.sub(":", folded))
    return [_DIGITS_OF.get(token, token.replace(",", "")) for token in tokens if _carries_meaning(token)]


def _carries_meaning(token: str) -> bool:
    if token == "-" or token.endswith("%"):
        return True
    return token not in _MARKUP and not unicodedata.category(token[-1]).startswith("P")


def same_text(first: str, second: str) -> bool:
    """Equal but for case, punctuation, white space and an article in front.

    Texts of punctuation alone must be equal as they stand.
    """
    left, right = (_without_article(text_tokens(text)) for text in (first, second))
    if not left or not right:
        return not left and not right and first.strip() == second.strip()
    return _join(left) == _join(right)


def _without_article(tokens: list[str]) -> list[str]:
    # "A-" is a grade.
    return tokens[1:] if len(tokens) > 1 and tokens[0] in _ARTICLES and tokens[1][:1].isalnum() else tokens


def _join(tokens: list[str]) -> str:
    joined: list[str] = []
    for token in tokens:
        # Two numbers in a row stay two numbers.
        if joined and joined[-1][-1].isdigit() and token[0] in "+-0123456789":
            joined.append(" ")
        joined.append(token)
    return "".join(joined)
