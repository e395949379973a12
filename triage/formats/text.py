"""Text files, whatever their encoding and line ends, in pieces of bounded size."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from . import encodings
from .common import Tally

# Characters of one line or one record. Abstracts have a few thousand; a file that goes past this is
# damaged or made to harm, and is refused before it fills the memory.
LONGEST = 16 * 2**20
HEAD = 2**16  # bytes by which a file is known
_CHUNK = 2**20
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})")
# Windows-1252; five bytes mean nothing in it and are kept as Latin-1 has them, as control characters.
_WINDOWS = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(256))
# What no text in Windows-1252 holds, but text in Mac Roman, or in the encodings of Russian, Chinese and other
# scripts does where it is read as that: runs of foreign letters, or such letters and daggers inside words.
_FOREIGN = re.compile(
    r"[^\x00-\xa0\xab\xbb\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026]{4,}|(?<=[A-Za-z])[\u0178\u017d\u0160\u0152\u2020\u2021\u02c6\u2030](?=[a-z])"
    r"|(?<=[a-z])[\u0178\u017d](?![A-Z])|(?<!\w)[\u2020\u2021][a-z]"
)
_NOT_ASCII = re.compile(r"[^\x00-\xa0]+")
_ESCAPES, _JAPANESE = "\x1b$", b"\x1b$"  # of ISO-2022-JP, which is all ASCII
_MARKS = re.compile(r"^\ufeff+", re.MULTILINE)


def read_head(path: Path, size: int = HEAD) -> bytes:
    """Read the beginning of a file.

    Raises
    ------
    InputError
        When it is missing, is a folder, or is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(size)
            while head and not head.strip():
                if not (more := file.read(size)):
                    head = b""
                else:
                    head = more
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; give the export files in it.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    if not head:
        raise InputError(f"{path} is empty; export it again from the database.")
    return head


def lines_of(text: str) -> list[str]:
    """Split at line ends of any system, and at nothing else."""
    return re.split(r"\r\n|\n|\r", text) if "\n" in text or "\r" in text else [text]


class TextFile:
    """A text file: UTF-8, UTF-16 or UTF-32, else what its lines that are no UTF-8 turn out to be, with one warning.

    Line by line, because files joined from several exports hold both; whole in the encoding that the user gave, if any.
    """

    def __init__(self, path: Path, tally: Tally):
        self.path, self.tally = path, tally
        self._head = read_head(path)
        self._size = max(path.stat().st_size, 1)
        self._encoding = tally.encoding or _encoding(self._head, path)
        self._other = ""
        if (declared := _DECLARED.match(self._head.lstrip())) and self._encoding == "utf-8":
            self._other = _known(declared.group(1).decode("ascii", "replace"))
        self._whole = self._told = False
        self._foreign = self._plausible = 0
        self._lines = 0

    @property
    def head(self) -> str:
        """Its first characters, line ends made one kind."""
        if self._encoding != "utf-8":
            if self.tally.encoding:
                text = self._head.decode(self._encoding, "replace")
                if text.count("\ufffd") > max(len(text) // 100, 1):
                    raise InputError(
                        f"{self.path} is not text in the encoding {self.tally.encoding}; give another --encoding, or none."
                    )
                return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
            whole = len(self._head) == self._size
            try:
                text = codecs.getincrementaldecoder(self._encoding)().decode(self._head, final=whole)
            except UnicodeDecodeError as error:
                raise self._damaged() from error
        else:
            cut = len(self._head) if len(self._head) == self._size else _whole(self._head)
            try:
                text = self._head[:cut].decode("utf-8")
                if _ESCAPES in text:
                    raise UnicodeDecodeError("utf-8", self._head, 0, 1, _ESCAPES)
            except UnicodeDecodeError as error:
                if error.reason != _ESCAPES:
                    self._choose()
                told, self._told = self._told, True
                lines = self._head[:cut].removeprefix(codecs.BOM_UTF8).split(b"\n")
                text = "\n".join(self._line(line, 0) for line in lines)
                self._told, self._foreign, self._plausible = told, 0, 0
        return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")

    def chunks(self) -> Iterator[str]:
        """Yield the text in pieces cut anywhere, every line end made a line feed.

        Raises
        ------
        InputError
            When the bytes are not what they begin as.
        """
        with self.path.open("rb") as file:
            for text in self._utf8(file) if self._encoding == "utf-8" else self._wide(file):
                self.tally.fraction = min(file.tell() / self._size, 1.0)
                if text:
                    yield text
        self.tally.fraction = 1.0

    def blocks(self, *, marks: bool = True) -> Iterator[str]:
        """Yield the text in pieces that end at a line end, but for the last.

        Parameters
        ----------
        marks : bool
            Drop byte order marks at the beginning of lines: files joined by hand hold some.

        Raises
        ------
        InputError
            At a line of more than `LONGEST` characters.
        """
        rest = ""
        for chunk in self.chunks():
            text = rest + chunk
            cut = text.rfind("\n") + 1
            block, rest = text[:cut], text[cut:]
            if block:
                yield _MARKS.sub("", block) if marks and "\ufeff" in block else block
            if len(rest) > LONGEST:
                raise InputError(
                    f"{self.path}, line {self._lines + 1}: longer than {LONGEST:,} characters, which no record's line is; "
                    f"the file is damaged or not an export. Export it again."
                )
        if rest:
            yield rest.lstrip("\ufeff") if marks else rest

    def _wide(self, file: BinaryIO) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)("replace" if self.tally.encoding else "strict")
        held = ""
        try:
            while raw := file.read(_CHUNK):
                text = held + decoder.decode(raw)
                # A carriage return at the end may be half of a line end.
                held = "\r" if text.endswith("\r") else ""
                text = text[: len(text) - len(held)]
                text = text.replace("\r\n", "\n").replace("\r", "\n")
                if self.tally.encoding and not self._told and (at := text.find("\ufffd")) >= 0:
                    self._told = True
                    line = self._lines + text.count("\n", 0, at) + 1
                    self.tally.warn(
                        line,
                        f"not all of it is {self.tally.encoding}: what is none, here and perhaps below, became \ufffd",
                    )
                self._lines += text.count("\n")
                yield text.removeprefix("\ufeff")
            yield held.replace("\r", "\n") + decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise self._damaged() from error

    def _damaged(self) -> InputError:
        name = self._encoding.upper().removesuffix("-LE").removesuffix("-BE")
        return InputError(f"{self.path} is damaged: it is not the {name} text that it begins as.")

    def _utf8(self, file: BinaryIO) -> Iterator[str]:
        held, first = b"", True
        while raw := file.read(_CHUNK):
            raw = held + raw
            if first:
                raw, first = raw.removeprefix(codecs.BOM_UTF8), False
            held = b"\r" if raw.endswith(b"\r") else b""
            raw = raw[: len(raw) - len(held)]
            if b"\r" in raw:
                raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            text, cut = self._decoded(raw, final=False)
            held = raw[cut:] + held
            yield text
        yield self._decoded(held.replace(b"\r", b"\n"), final=True)[0]

    def _decoded(self, raw: bytes, *, final: bool) -> tuple[str, int]:
        """Return the text, and how many bytes of it: the last ones may be half of a character."""
        try:
            text, cut = ("", 0) if self._whole else (raw.decode("utf-8"), len(raw))
            if self._whole or (b"\x1b" in raw and _JAPANESE in raw):
                raise UnicodeDecodeError("utf-8", raw, 0, 1, _ESCAPES)
        except UnicodeDecodeError as error:
            if not final and error.end == len(raw) and error.reason == "unexpected end of data":
                text, cut = raw[: error.start].decode("utf-8"), error.start
            else:
                if error.reason != _ESCAPES:
                    self._choose()
                cut = len(raw) if final else _whole(raw)
                if not final and self._other not in ("", encodings.WINDOWS):  # whose letters take two bytes, perhaps
                    cut = raw.rfind(b"\n") + 1 or (cut if len(raw) > LONGEST else 0)
                text = "\n".join(self._line(line, n) for n, line in enumerate(raw[:cut].split(b"\n")))
                if self._foreign > max(self._plausible, 1):
                    raise InputError(
                        f"{self.path} is neither UTF-8 nor Windows-1252 text, so its letters with accents, or of other "
                        f"scripts, would come out wrong. Give its encoding as --encoding NAME, or export it again with the "
                        f"encoding UTF-8."
                    ) from error
        self._lines += text.count("\n")
        return text, cut

    def _choose(self) -> None:
        """Choose the encoding of the lines that are no UTF-8.

        Raises
        ------
        InputError
            Where it cannot be told.
        """
        if self._other:
            return
        verdict = encodings.of_file(self.path)
        if not verdict.encoding:
            raise InputError(self._question(verdict))
        self._other, self._whole = verdict.encoding, verdict.whole

    def _question(self, verdict: encodings.Verdict) -> str:
        candidates = dict.fromkeys((*verdict.candidates, encodings.WINDOWS, "utf-8"))
        readings: dict[str, str] = {}
        for name in candidates:
            readings.setdefault(verdict.preview(name), name)
        two = [f"{text!r} in {encodings.title_of(name)}" for text, name in list(readings.items())[:2]]
        return (
            f"{self.path} is neither UTF-8 nor Windows-1252 text, and its encoding cannot be told for sure: a line reads "
            f"{' and '.join(two)}. Give the right one as --encoding NAME, such as {verdict.candidates[0]}; or export it again "
            f"with the encoding UTF-8."
        )

    def _tell(self, number: int, name: str, *, sure: bool) -> None:
        if not self._told:
            self._told = True
            check = "if its letters are wrong, give --encoding NAME" if sure else "check accents and dashes"
            self.tally.warn(
                self._lines + number + 1, f"not UTF-8; this line and others like it read as {name}: {check}"
            )

    def _line(self, raw: bytes, number: int) -> str:
        if _JAPANESE in raw:
            try:
                text = raw.decode("iso2022_jp_2")
                self._tell(number, "ISO-2022-JP", sure=True)
                return text
            except UnicodeDecodeError:
                pass
        if not self._whole or raw.isascii():
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:
                pass
        self._tell(number, encodings.title_of(self._other), sure=self._other in encodings.KNOWN - {encodings.WINDOWS})
        if self._other == encodings.WINDOWS:
            text = codecs.charmap_decode(raw, "strict", _WINDOWS)[0]
            foreign = len(_FOREIGN.findall(text))
            self._foreign += foreign
            self._plausible += len(_NOT_ASCII.findall(text)) - foreign
            return text
        return raw.decode(self._other, "replace")


def _whole(raw: bytes) -> int:
    """Return how many bytes are left without the half of a character at the end, where there is one."""
    tail = raw[-3:]
    for at in range(len(tail)):
        if tail[at] >= 0xC0:
            try:
                tail[at:].decode("utf-8")
            except UnicodeDecodeError as error:
                if error.reason == "unexpected end of data":
                    return len(raw) - len(tail) + at
    return len(raw)


def _encoding(head: bytes, path: Path) -> str:
    for mark, name in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    sample = head[:4000]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if max(even, odd) <= len(sample) // 16:
        return "utf-8"
    # UTF-16 without its mark: Latin text has a zero in every other byte, other text at least at its
    # blanks, digits and line ends.
    if min(even, odd) > len(sample) // 50:
        raise InputError(f"{path} is not a text file, so it is not an export that triage reads.")
    return "utf-16-le" if odd > even else "utf-16-be"


def tally_of(encoding: str | None) -> Tally:
    """Return the tally of a file that is to be read in the encoding that the user gave, if any.

    Raises
    ------
    InputError
        When there is no such encoding.
    """
    return Tally(encoding=known_encoding(encoding) if encoding else "")


def known_encoding(name: str) -> str:
    """Return Python's name of an encoding of text that the user gave.

    Raises
    ------
    InputError
        When there is none of that name.
    """
    try:
        "a".encode(name)  # not every codec is one of text
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise InputError(
            f"--encoding {name!r} is not an encoding of text that is known here; examples are utf-8, windows-1252, gb18030, "
            "big5, shift_jis, euc-kr, windows-1251, koi8-r, windows-1250, iso-8859-2 and mac-roman."
        ) from error


def _known(name: str) -> str:
    """Return an XML declaration's encoding when it can be that of bytes that are not UTF-8."""
    try:
        known = known_encoding(name)
    except InputError:
        return ""
    return "" if known.startswith("utf") or known in ("ascii", "iso8859-1", "cp1252") else known
