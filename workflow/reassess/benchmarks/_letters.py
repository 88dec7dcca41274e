"""How MMMU and MMMU-Pro read an option's letter from a reply; the two differ only in the forms that they accept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# MMMU eval_utils.py: taken off both ends one after the other in this order, each once.
_STRIPPED = (",", ".", "!", "?", ";", ":", "'")
# MMMU eval_utils.py: option texts are looked for in replies of more words than this.
_WORDS = 5


def lettered(options: Sequence[str]) -> dict[str, str]:
    """The options under their letters; past Z the characters that follow it."""
    return {chr(ord("A") + index): option for index, option in enumerate(options)}


def read_letter(reply: str, options: Sequence[str], forms: Sequence[str]) -> str | None:
    """The letter that a reply names, None where it names none and the official code draws one at random.

    The forms are tried in their order, "{}" being the letter; the first must be the one in parentheses. The first form
    that any letter has decides. Failing all, option texts are looked for. Of several letters the last counts.
    """
    for character in _STRIPPED:
        reply = reply.strip(character)
    reply = f" {reply} "
    texts = lettered(options)
    for number, form in enumerate(forms):
        found = [letter for letter in texts if form.format(letter) in reply]
        if found:
            # Later forms are placed by the spaced letter whatever they are: a letter that has no such place counts as
            # the very first, so where none has one the first option wins.
            place = form if number == 0 else " {} "
            return _last({letter: reply.rfind(place.format(letter)) for letter in found})
    if len(reply.split()) <= _WORDS:
        return None
    lower = reply.lower()
    places = {letter: lower.rfind(text.lower()) for letter, text in texts.items() if text.lower() in lower}
    return _last(places) if places else None


def _last(places: Mapping[str, int]) -> str:
    # max keeps the first of equals, as numpy's argmax does.
    return max(places, key=places.__getitem__)
