"""Which encoding a text that is no UTF-8 has, where that can be told beyond doubt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

WINDOWS = "cp1252"
_WESTERN = frozenset("de fr es it pt nl sv da nb no nn fi is ca ga gl eu af oc la lb fo wa an br en eo et".split())
_CENTRAL = frozenset("pl cs sk hu ro hr sl bs sq sr".split())
_CYRILLIC = frozenset("ru uk bg sr mk be kk mn ky".split())
# The languages that each encoding is used for.
_LANGUAGES = {
    WINDOWS: _WESTERN,
    "gb18030": {"zh"},
    "cp950": {"zh"},
    "cp932": {"ja"},
    "euc_jp": {"ja"},
    "cp949": {"ko"},
    "cp1251": _CYRILLIC,
    "koi8_u": {"ru", "uk", "be"},
    "mac_cyrillic": _CYRILLIC,
    "iso8859_5": _CYRILLIC,
    "cp866": {"ru", "be", "bg"},
    "cp1253": {"el"},
    "iso8859_7": {"el"},
    "mac_greek": {"el"},
    "cp737": {"el"},
    "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL,
    "mac_latin2": _CENTRAL,
    "cp852": _CENTRAL,
    "cp1254": {"tr", "az"},
    "mac_turkish": {"tr", "az"},
    "cp857": {"tr", "az"},
    "cp1257": {"lt", "lv", "et"},
    "cp1255": {"he"},
    "cp1256": {"ar", "fa", "ur", "ug"},
    "cp874": {"th"},
    "cp1258": {"vi"},
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "iso8859_15": _WESTERN,
}
_NAMES = {
    "cp1252": "Windows-1252",
    "mac_cyrillic": "Mac Cyrillic",
    "mac_greek": "Mac Greek",
    "mac_latin2": "Mac Central European",
    "mac_turkish": "Mac Turkish",
    "cp932": "Shift_JIS",
    "cp949": "EUC-KR",
    "cp950": "Big5",
    "gb18030": "GB18030",
    "euc_jp": "EUC-JP",
    "koi8_u": "KOI8-U",
    "mac_roman": "Mac Roman",
}
# The letters beyond ASCII of each alphabet; those of Latin ones in lower case.
_ALPHABETS = {
    "de": "äöüßé",
    "fr": "éèàêçùâîôûëïœüæ",
    "es": "áéíñóúüç",
    "pt": "áàâãçéêíóôõúü",
    "it": "àèéìíîòóùú",
    "nl": "éëïöüáèóúê",
    "sv": "åäöéàü",
    "da": "æøåéäö",
    "is": "áðéíóúýþæö",
    "ca": "àçèéíïòóúü·",
    "ga": "áéíóú",
    "et": "äõöüšž",
    "af": "êëéèïôûáíóúîäö",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "hu": "áéíóöőúüű",
    "ro": "ăâîșşțţ",
    "hr": "čćđšž",
    "tr": "çğıöşüâîûİ",
    "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņšūž",
    "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "uk": "абвгдежзийклмнопрстуфхцчшщьюяіїєґ",
    "be": "абвгдежзйклмнопрстуфхцчшыьэюяёіў",
    "sr": "абвгдежзиклмнопрстуфхцчшђјљњћџѓѕќ",
    "el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
    "he": "".join(map(chr, range(0x5D0, 0x5EB))),
    "ar": "".join(
        map(
            chr,
            [
                *range(0x621, 0x656),
                0x67E,
                0x686,
                0x698,
                0x6AF,
                0x6A9,
                0x6CC,
                0x6D2,
                0x679,
                0x688,
                0x691,
                0x6BE,
                0x6C1,
                0x6BA,
                0x200C,
                0x200D,
            ],
        )
    ),
    "th": "".join(map(chr, [*range(0xE01, 0xE3B), *range(0xE3F, 0xE5C)])),
}
KNOWN = frozenset(_LANGUAGES)
_LATIN = {n for n, languages in _LANGUAGES.items() if languages & {"de", "pl", "tr", "lt", "vi"}}
_DOS = {"cp437", "cp737", "cp850", "cp852", "cp857", "cp866"}
_USUAL = {"cp1251", "cp1253", "cp1250", "cp1254", "cp1257"}
# Of the encodings with two bytes: the first bytes of the commonest characters, the least second one, other first bytes.
_COMMON = {
    "gb18030": ((0xB0, 0xD7), 0xA1, ()),
    "cp950": ((0xA4, 0xC6), 0x40, ()),
    "cp932": ((0x88, 0x98), 0x40, (0x82, 0x83)),
    "euc_jp": ((0xB0, 0xCF), 0xA1, (0xA4, 0xA5)),
    "cp949": ((0xB0, 0xC8), 0xA1, ()),
}
# About two thirds of a text's letters, a third of one that is misread.
_COMMONEST = {
    "ru": "\u043e\u0435\u0430\u0438\u043d\u0442\u0441\u0440\u0432\u043b\u0456",
    "el": "\u03b1\u03bf\u03b9\u03b5\u03c4\u03c3\u03bd\u03b7\u03c5\u03c1\u03c2",
    "he": "\u05d9\u05d5\u05d4\u05dc\u05d0\u05e8\u05de\u05ea\u05d1\u05e9",
    "ar": "\u0627\u0644\u064a\u0645\u0648\u0646\u0631\u062a\u0628\u0629\u06cc",
}
_LAST_LETTERS = frozenset("\u044c\u044e\u044f\u044b\u044d\u0458")
_EAST_ASIAN = frozenset(_COMMON)
_VARIANTS = {"wuu": "zh", "yue": "zh", "nan": "zh", "lzh": "zh", "ltg": "lv", "csb": "pl", "szl": "pl", "sh": "hr"}
_SYMBOLS = frozenset("–—‘’“”„‚•…«»‹›°±µ×÷·§©®™€£¥¿¡ºª²³¹½¼¾†‡‰¶†№ \xa0\xad¬¢¤´`˙،؛؟ـ־׳״฿¨")
_IN_WORDS = "\u2019\u2018\u2013\u2014\xb7\xad\u05be\u05f3\u05f4"
_SYMBOL = re.compile(r"[^\x00-\x7f\w]")
_WORD = re.compile(r"[^\W\d_]+")
_CASES = re.compile(r"A*|A?a*|A?a{1,3}A?a*|aA+")
_INNER_SIGMA = re.compile(r"\u03c2[^\W\d_]")
_PARTED = re.compile(r"(?<=[^\x00-\x7f]) (?=[^\x00-\x7f])")
_ENOUGH = 12  # letters beyond ASCII by which an encoding is known; of Chinese, Japanese and Korean, half as many


_SAMPLE = 2**14  # bytes
_LINE = 2**11
_SCANNED = 2**26
_TITLE_LINE = re.compile(rb"\s*(?:(?:TI|T1)\b|%T|<[\w:]{0,20}title|\W{0,3}title\W)", re.IGNORECASE)
_BEFORE_TEXT = re.compile(r"\s*(?:[A-Z][A-Z0-9] {1,2}- |%T |TI |(?:book)?title\s*=\s*|<[^>]*>)[{\"\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the lines of a text are that are no UTF-8.

    Attributes
    ----------
    encoding : str
        Their encoding, "" where it cannot be told.
    candidates : tuple of str
        What it may be, the likeliest first.
    whole : bool
        No line of the text shows that it is UTF-8 beside these, so that all of it is of the encoding.
    example : bytes
        The first such line, of a title if there is one.
    """

    encoding: str
    candidates: tuple[str, ...]
    whole: bool = False
    example: bytes = b""

    def preview(self, encoding: str) -> str:
        """Return how the example reads in an encoding, as it can be shown."""
        text = _BEFORE_TEXT.sub("", self.example.decode(encoding, "replace"), count=1)
        return "".join(c if c.isprintable() else "\ufffd" for c in text)[:60]


def of_file(path: Path) -> Verdict:
    """Tell the encoding of a file's lines that are no UTF-8."""
    about = path.stat()
    return _of_file(path, about.st_size, about.st_mtime_ns)


@lru_cache(16)
def _of_file(path: Path, size: int, changed: int) -> Verdict:
    lines: list[bytes] = []
    title, taken, utf8, scanned = b"", 0, 0, 0
    with path.open("rb") as file:
        while taken < _SAMPLE and scanned < _SCANNED and (raw := file.readline(_SAMPLE)):
            scanned += len(raw)
            for line in raw.rstrip(b"\n").split(b"\r"):  # of old Macintosh
                if line.isascii():
                    continue
                try:
                    line.decode("utf-8")
                    utf8 += 1
                except UnicodeDecodeError:
                    lines.append(line[:_LINE])
                    taken += len(lines[-1])
                    title = title or (line[:_LINE] if _TITLE_LINE.match(line) else b"")
    if not lines:
        return Verdict(WINDOWS, (WINDOWS,))
    told = decide(lines)
    # Short lines of Chinese may happen to be UTF-8, too.
    whole = told.encoding in _EAST_ASIAN and utf8 * 5 <= len(lines)
    return Verdict(told.encoding, told.candidates, whole, title or lines[0])


def title_of(encoding: str) -> str:
    """Return an encoding's name as people write it."""
    return _NAMES.get(
        encoding, encoding.replace("iso8859_", "ISO-8859-").replace("cp12", "Windows-12").replace("cp", "DOS ")
    )


@lru_cache(4096)
def _fits(letters: str, encoding: str) -> bool:
    """Tell whether some letters are all of one alphabet that an encoding is for."""
    return any(set(letters) <= set(_ALPHABETS[name]) for name in _LANGUAGES[encoding] if name in _ALPHABETS)


def _rated(line: str, encoding: str) -> int:
    """Return 2 for a line that plainly is of an encoding's languages, 1 for one that may be, 0 for one that is not."""
    if any(c > "\x7f" and unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") for c in line):
        return 0
    if encoding in _EAST_ASIAN:
        return _rated_east_asian(line, encoding)
    rating = 2
    for found in _SYMBOL.finditer(line):
        c = found.group()
        before, after = line[: found.start()][-1:], line[found.end() :][:1]
        if before == after == " " and c in "\u2026\ufffd":
            rating = 1
        if unicodedata.category(c) in ("Mn", "Mc", "Cf") or (
            c == "\ufffd" and not (before.isalpha() or after.isalpha())
        ):
            continue
        if c not in _SYMBOLS or (before.isalpha() and after.isalpha() and c not in _IN_WORDS):
            return 0
        if c in "\xa7\xa3\xa4\xa5\xac\xa2" and before.isalpha():
            return 0
        if c in "\xbf\xa1\xb6" and not (c != "\xb6" and after.isalnum()):
            return 0
        if (before.islower() and after.islower() and c in "\u2013\u2014\u2018") or (
            c == "\u2019" and not before.isalnum() and after.isalpha()
        ):
            rating = 1
    whole: set[str] = set()
    for word in _WORD.findall(line):
        if word.isascii():
            continue
        if word.lower() != word.upper() and (word in "\u0152\u0160\u017d" or not _CASES.fullmatch(_shape(word))):
            return 0
        if encoding not in _LATIN and any(c <= "\x7f" for c in word):
            return 0
        letters = {c for c in word.lower() if c > "\x7f" and c != "\u0307"}
        if not _fits("".join(sorted(letters)), encoding) or _INNER_SIGMA.search(word):
            return 0
        whole |= letters
    if encoding not in _LATIN and len(whole) > 5 and line.isupper():
        rating = 1  # lower case read as capitals, as Russian's encodings have it
    return rating if _fits("".join(sorted(whole)), encoding) else 1


def _shape(word: str) -> str:
    # A capital inside a word, as in McDonald, is no letter with an accent.
    return "".join(
        "a" if not c.isupper() else "A" if c <= "\x7f" or not n or word.isupper() else "X" for n, c in enumerate(word)
    )


def _rated_east_asian(line: str, encoding: str) -> int:
    letters = [c for c in line if c > "\x7f" and c.isalpha()]
    if not letters:
        return 1
    leads, trails, other = _COMMON[encoding]
    common = 0
    for c in letters:
        raw = c.encode(encoding, "replace")
        common += len(raw) == 2 and (leads[0] <= raw[0] <= leads[1] or raw[0] in other) and raw[1] >= trails
    share = common / len(letters)
    if encoding != "cp949" and len(_PARTED.findall(line)) > 0.08 * len(letters) + 1:
        return 0  # only Korean parts its words
    if encoding in ("cp932", "euc_jp") and sum("\u3040" <= c <= "\u30ff" for c in letters) < 0.1 * len(letters):
        share = min(share, 0.8)
    return 2 if share > 0.9 else 1 if share > 0.7 else 0


def _has_common_letters(texts: Sequence[str], encoding: str) -> bool:
    """Tell whether the commonest letters of a script are as common as they should be."""
    common = next((letters for name, letters in _COMMONEST.items() if name in _LANGUAGES[encoding]), "")
    if not common:
        return True
    letters = [c for c in unicodedata.normalize("NFD", "".join(texts)).lower() if c > "\x7f" and c.isalpha()]
    if "ru" in _LANGUAGES[encoding] and len(letters) > 40 and not _LAST_LETTERS.intersection(letters):
        return False  # Hebrew, which ends before them
    return sum(map(common.__contains__, letters)) > len(letters) / 2


def decide(lines: Sequence[bytes]) -> Verdict:
    """Tell the encoding of lines that are no UTF-8, "" where there is more than one that it may be.

    Each encoding's reading is rated by the alphabets of the languages that it is for, then by the language that the
    text turns out to be in.
    """
    import py3langid

    found: dict[str, list[str]] = {}
    rates: dict[str, list[int]] = {}
    for name in _LANGUAGES:
        try:
            found[name] = [line.decode(name) for line in lines]
        except UnicodeDecodeError:
            if name == WINDOWS:
                found[name] = [line.decode(name, "replace") for line in lines]  # five bytes mean nothing in it
        if name in found:
            rates[name] = [_rated(text, name) for text in found[name]]
    mean = {name: sum(each) / len(each) for name, each in rates.items()}
    bad = {name: each.count(0) / len(each) for name, each in rates.items()}
    languages = {
        name: _VARIANTS.get(said := py3langid.classify(" ".join(" ".join(texts).split())[:4000])[0], said)
        for name, texts in found.items()
        if mean[name] >= 1
    }
    plausible = {
        n
        for n in languages
        if mean[n] >= 1.7 and bad[n] <= 0.1 and languages[n] in _LANGUAGES[n] and _has_common_letters(found[n], n)
    }
    if plausible & {"cp932", "euc_jp"}:
        plausible -= {"gb18030", "cp950", "cp949"}  # which have no kana
    if plausible - _DOS:
        plausible -= _DOS

    def better(one: str, other: str, by: int = 2) -> bool:
        """Tell whether a reading is the better one in the lines where two differ."""
        differ = [
            (a, b) for a, b, x, y in zip(rates[one], rates[other], found[one], found[other], strict=True) if x != y
        ]
        return sum(a - b for a, b in differ) >= by and sum(a < b for a, b in differ) <= len(differ) // 20

    best = {n for n in plausible if not any(better(other, n) for other in plausible)}
    likely = sorted(best, key=lambda n: (-mean[n], n not in _USUAL))
    likely += sorted((n for n in languages if n not in best and mean[n] > 1), key=lambda n: -mean[n])
    # A short text's language is a guess, which counts where there is another reading.
    language = languages.get(WINDOWS, "en")
    same = not best or any(found[n] == found[WINDOWS] for n in best)
    western = bad[WINDOWS] <= 0.1 and (language in _LANGUAGES[WINDOWS] | {"en"} or (mean[WINDOWS] >= 1.8 and same))
    if western and not any(mean[n] > mean[WINDOWS] + 0.2 or better(n, WINDOWS, by=1) for n in best - {WINDOWS}):
        others = [n for n in best if found[n] != found[WINDOWS]]
        ours = _beyond(found[WINDOWS])
        alphabet = set(_ALPHABETS.get(language, ours)) if language in _LANGUAGES[WINDOWS] else ours
        # A few letters may as well be another encoding's, where that has them in the language's own alphabet.
        few = len(lines) <= 3 and not ours <= alphabet and any(_beyond(found[n]) <= alphabet for n in others)
        if not few and (ours or not others):
            return Verdict(WINDOWS, (WINDOWS, *(n for n in likely if n != WINDOWS)))
    sure = len({tuple(found[n]) for n in best}) == 1 and WINDOWS not in best
    letters = sum(c > "\x7f" and c.isalpha() for c in "".join(found[likely[0]])) if likely else 0
    enough = likely and letters >= (_ENOUGH // 2 if likely[0] in _EAST_ASIAN else _ENOUGH)
    sure = sure and bool(enough) and _agrees(b"\n".join(lines), "\n".join(found[likely[0]]))
    return Verdict(likely[0] if sure else "", tuple(likely) or (WINDOWS,))


def _beyond(texts: Sequence[str]) -> set[str]:
    return {c for c in "".join(texts).lower() if c > "\x7f" and c.isalpha()}


def _agrees(raw: bytes, text: str) -> bool:
    """Tell whether charset-normalizer, which looks at a text in other ways, reads it the same."""
    import charset_normalizer

    best = charset_normalizer.from_bytes(raw).best()
    return best is not None and str(best) == text
