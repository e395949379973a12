"""LaTeX's way of writing characters, as bibliographies use it: read tolerantly, written safely."""

from __future__ import annotations

import functools
import re
import unicodedata

_COMBINING = {
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    "u": "\u0306",
    ".": "\u0307",
    '"': "\u0308",
    "r": "\u030a",
    "H": "\u030b",
    "v": "\u030c",
    "d": "\u0323",
    "c": "\u0327",
    "k": "\u0328",
    "b": "\u0331",
}
_DOTLESS = {"\\i": "i", "\\j": "j"}
_TOKEN = re.compile(
    r"\\([\"'`^~=.])\s*(?:\{\s*(\\?[A-Za-z])\s*\}|(\\[ij](?![A-Za-z])|[A-Za-z]))"  # \"{o} \"o \'\i
    r"|\\([uvHcdbkr])(?:\s*\{\s*(\\?[A-Za-z])\s*\}|\s+(\\[ij](?![A-Za-z])|[A-Za-z]))"  # \c{c} \v s
    r"|\\([A-Za-z]+)(\s?\{\}|\s(?=\S))?"
    r"|\\(.)|(\$)((?:[^$\\{}]|\\[A-Za-z]++|\{[^{}$]{0,99}\}){1,80})\$|[{}]",
    re.DOTALL,
)
_OWN = {
    "textbraceleft": "{",
    "textbraceright": "}",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textdollar": "$",
    "textunderscore": "_",
    "lbrace": "{",
    "rbrace": "}",
    "copyright": "\u00a9",
    "pounds": "\u00a3",
    "S": "\u00a7",
    "P": "\u00b6",
    "degree": "\u00b0",
    "backslash": "\\",
}
# They say how their text looks, and the text stays.
_STYLES = frozenset(
    "textit emph textbf textsc textrm textsf texttt textup textsuperscript textsubscript mathrm mathit mathbf text "
    "mbox rm it bf sc em tt sf ensuremath url".split()
)
_ESCAPED = {
    "\\": r"{\textbackslash}",
    "{": r"{\textbraceleft}",
    "}": r"{\textbraceright}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"{\textasciitilde}",
    "^": r"{\textasciicircum}",
}
_ESCAPABLE = re.compile(r"[\\{}&%$#_~^]")
_LIGATURE = re.compile(r"([-`'])(?=\1)|([?!])(?=`)")
# At a line's beginning these would open an entry, or be taken for a byte order mark.
_UNSAFE = re.compile(r"(^|\n)([ \t]*)([@\ufeff])")


@functools.cache
def _characters() -> dict[str, str]:
    from pylatexenc.latex2text import get_default_latex_context_db

    known = {
        spec.macroname: spec.simplify_repl
        for spec in get_default_latex_context_db().iter_macro_specs()
        if isinstance(spec.simplify_repl, str) and "%" not in spec.simplify_repl and spec.macroname.isalpha()
    }
    return known | _OWN


def plain(text: str) -> str:
    """Return a BibTeX value as the text it means; LaTeX that we do not know stays as it is."""
    if "\\" not in text and "{" not in text and "}" not in text and "$" not in text:
        return text
    return _TOKEN.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    if accent := found.group(1) or found.group(4):
        letter = next(found.group(n) for n in (2, 3, 5, 6) if found.group(n))
        letter = _DOTLESS.get(letter, letter)
        return unicodedata.normalize("NFC", letter + _COMBINING[accent]) if len(letter) == 1 else found.group()
    if name := found.group(7):
        if name in _STYLES:
            return ""
        if (character := _characters().get(name)) is not None:
            return character
        return f"\\{name}{(found.group(8) or '').replace('{}', '')}"
    if mark := found.group(9):
        return mark if mark in "\\&%$#_{}~^-,;:! \"'" else f"\\{mark}"
    if found.group(10):
        # Mathematics only where it is some: "$\alpha$", "$10^5$"; sums of money stay.
        inside = found.group(11)
        return plain(inside) if re.search(r"\\[A-Za-z]|[\^_]", inside) else found.group()
    return ""


def escaped(text: str, *, ligatures: bool = True) -> str:
    """Return a text with the characters escaped that BibTeX and LaTeX would act on.

    Parameters
    ----------
    text : str
    ligatures : bool
        Keep two hyphens or quotes from being read as a dash or quotation mark; not wanted in pages.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    # Braces must balance whatever the text says, so a brace is written as its LaTeX name.
    text = _ESCAPABLE.sub(lambda found: _ESCAPED[found.group()], text)
    if ligatures:
        text = _LIGATURE.sub(lambda found: f"{found.group()}{{}}", text)
    return _UNSAFE.sub(r"\1\2{\3}", text)
