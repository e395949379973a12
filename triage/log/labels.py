"""The labels that a reviewer may give, and the words by which tables name them."""

from __future__ import annotations

from enum import StrEnum


class Label(StrEnum):
    """A reviewer's judgement of one record at one stage."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    MAYBE = "maybe"


_LABEL_WORDS = {
    Label.INCLUDE: ("include", "included", "inclusion", "relevant", "yes", "y", "true", "1", "x", "✓", "✔", "☑"),
    Label.EXCLUDE: ("exclude", "excluded", "exclusion", "irrelevant", "not relevant", "no", "n", "false", "0"),
    Label.MAYBE: ("maybe", "unsure", "uncertain", "unclear", "?"),
}
_LABELS = {word: label for label, words in _LABEL_WORDS.items() for word in words}
_SAYS_WHICH = frozenset(word for word in _LABELS if word.startswith(("inclu", "exclu"))) | {*_LABEL_WORDS[Label.MAYBE]}
_AROUND = " \t\r\n\u00a0\u200b\ufeff\"'“”„‟‘’‚‛«»`´"  # quotation marks of every kind, and what cannot be seen


def without_quotes(text: str) -> str:
    """Return a cell's text without the blanks and quotation marks around it."""
    return text.strip(_AROUND)


def label_of(text: str, column: str = "") -> Label | None:
    """Return the label that a cell of a table means, in any case; None when it means none.

    Besides include, exclude and maybe these are understood: included and excluded, relevant and irrelevant,
    yes and no, y and n, true and false, 1 and 0 (1.0 and 0.0, too), unsure and "?", and for include a
    cross or tick ("x"). In a column about exclusion ("Excluded") only words that say include or exclude are.

    Examples
    --------
    >>> label_of(" Included "), label_of("0.0"), label_of("?"), label_of("perhaps")
    (<Label.INCLUDE: 'include'>, <Label.EXCLUDE: 'exclude'>, <Label.MAYBE: 'maybe'>, None)
    >>> label_of("x", column="Include?"), label_of("x", column="Excluded")
    (<Label.INCLUDE: 'include'>, None)
    """
    word = " ".join(without_quotes(text).casefold().split())
    number = word.replace(",", ".", 1)
    if number in ("1.0", "0.0", "1.", "0.", "1.00", "0.00"):
        word = word[0]
    if without_quotes(column).casefold().startswith("exclu") and word not in _SAYS_WHICH:
        return None
    return _LABELS.get(word)
