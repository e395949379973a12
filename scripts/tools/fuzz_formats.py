"""Feed the readers damaged files by the thousand: each must be read whole or refused in a sentence, in time and memory.

Usage: python scripts/tools/fuzz_formats.py [--cases 100000] [--first 0] [--from FOLDER ...] [--keep FOLDER]

Each case is a small real file, or a piece of one, that was changed at random: bytes altered, parts cut out, repeated or
replaced by another file's, what means something to a format put in; the members of archives also from within. Case n is
the same on every machine with the same files. The cases are read in this process's own children, without the limits that
`triage.formats.apart` puts on the readers, and it is a fault when one

- raises anything but an InputError that names the file,
- gives another number of records than it announces,
- takes 10 seconds, or the process more than 1 GiB,
- ends the process.

Faulty cases are kept in a folder. Exit code 1 when there is one.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from triage import formats
from triage.errors import InputError

SEEDS = [ROOT / "tests" / "files", ROOT / "data" / "demo", ROOT.parent / "shared" / "data" / "exports"]
SEEDS += [ROOT.parent / "shared" / "cases" / "files"]
ENDINGS = "ris nbib txt enw bib ciw isi xml csv tsv xlsx xls parquet asreview".split()
LONGEST = 4_000  # bytes of a case, but for archives
SECONDS = 10
MEMORY = 2**30
AT_ONCE = 5_000  # cases of one process
TOKENS = [
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b" ",
        b"\t",
        b"  - ",
        b",",
        b";",
        b'"',
        b'""',
        b"'",
        b"{",
        b"}",
        b"#",
        b"\\",
        b"=",
        b"&",
    ),
    *(b"\0", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xc3", b"\x1b[2J", b"\x9b"),
    *(b"\nTY  - JOUR\n", b"\nER  - \n", b"\nTI  - ", b"\nPMID- 1\n", b"\nPT J\n", b"\nER\n", b"\nEF\n", b"\n%0 Book\n"),
    *(b"\n@article{a,\n", b"\n@string{a = b}\n", b"title = {", b"<record>", b"</record>", b"<rec ", b"<PubmedArticle>"),
    *(
        b"<!ENTITY a 'b'>",
        b"<![CDATA[",
        b"]]>",
        b"<!--",
        b"-->",
        b"&#0;",
        b"&#xD800;",
        b"&amp;amp;",
        b"<title>",
        b"</title>",
    ),
    *(
        b"title,abstract,label\n",
        b"N1  - triage_fields {",
        b'{"title": "\\ud800"}',
        b'RAYYAN-INCLUSION: {"a"=>"Included"}',
    ),
    *(
        b"-1",
        b"0",
        b"1e999",
        b"99999999999999999999",
        b"NaN",
        b"10.1000/",
        b"=HYPERLINK(1)",
        b"1.\n",
        b"<1>\n",
        b"PK\3\4",
    ),
]


def make_binaries(folder: Path) -> Path:
    """Write a small table in the formats of which there are few files to begin with."""
    folder.mkdir(exist_ok=True)
    header = ["title", "abstract", "year", "label"]
    rows = [[f"Study {n} of \u00e9", "BACKGROUND: a.\nRESULTS: b." * n, 1990 + n, n % 2] for n in range(12)]
    if not (folder / "table.parquet").exists():
        import openpyxl
        import pyarrow
        import pyarrow.parquet

        book = openpyxl.Workbook()
        for row in [header, *rows]:
            book.active.append(row)
        book.create_sheet("notes").append(["x"])
        book.save(folder / "table.xlsx")
        columns = {name: [row[at] for row in rows] for at, name in enumerate(header)}
        for packed in ("none", "zstd"):
            pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"{packed}.parquet", compression=packed)
        (folder / "table.parquet").write_bytes((folder / "zstd.parquet").read_bytes())
    return folder


def seeds(folders: list[Path]) -> list[Path]:
    """Return the files that cases are made of."""
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in found if path.suffix[1:].lower() in ENDINGS and path.stat().st_size < 2**22]


class Cases:
    """The cases by their numbers.

    Parameters
    ----------
    files : list of Path
    """

    def __init__(self, files: list[Path]) -> None:
        # By format, so that one with many files does not take all the turns.
        self._by_ending: dict[str, list[Path]] = {}
        for path in files:
            self._by_ending.setdefault(path.suffix[1:].lower(), []).append(path)
        self._endings = sorted(self._by_ending)

    def case(self, number: int) -> tuple[str, bytes]:
        """Return a case's name and content."""
        rng = random.Random(number)
        ending = rng.choice(self._endings)
        content = self._piece(rng, ending)
        if content[:4] == b"PK\3\4" and rng.random() < 0.9:
            content = self._repacked(rng, content)
        else:
            content = self._damaged(rng, content)
        if rng.random() < 0.05:
            ending = rng.choice(ENDINGS)
        return f"case{number}.{ending}", content

    def _piece(self, rng: random.Random, ending: str) -> bytes:
        content = rng.choice(self._by_ending[ending]).read_bytes()
        if content[:4] in (b"PK\3\4", b"PAR1", b"\xd0\xcf\x11\xe0") or len(content) <= LONGEST:
            return content
        at = rng.choice([0, 0, rng.randrange(len(content))])
        return content[at : at + rng.randint(500, LONGEST)]

    def _damaged(self, rng: random.Random, content: bytes) -> bytes:
        for _ in range(rng.choice([1, 1, 2, 3, 5, 10])):
            at, length = rng.randrange(len(content) + 1), rng.choice([0, 1, 1, 4, 20, 200])
            part = content[at : at + length]
            new = rng.choice(
                [
                    lambda: b"",
                    lambda: bytes(rng.randrange(256) for _ in part),
                    lambda: rng.choice(TOKENS),
                    lambda: rng.choice(TOKENS) * rng.choice([2, 10, 300]),
                    lambda: part * rng.choice([2, 2, 3, 50]),
                    lambda: part + self._piece(rng, rng.choice(self._endings))[: rng.choice([50, 500])],
                    lambda: part[::-1],
                ]
            )()
            content = content[:at] + new + content[at + length :]
        if rng.random() < 0.05:
            content = content[: rng.randrange(len(content) + 1)]
        if rng.random() < 0.03:
            content = content.decode("utf-8", "replace").encode(
                rng.choice(["utf-16", "utf-16-le", "cp1252", "gbk"]), "replace"
            )
        return content

    def _repacked(self, rng: random.Random, content: bytes) -> bytes:
        """Damage a member of an archive and pack it again."""
        packed = io.BytesIO()
        try:
            with (
                zipfile.ZipFile(io.BytesIO(content)) as archive,
                zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
            ):
                names = archive.namelist()
                chosen = set(rng.sample(names, min(len(names), rng.choice([1, 1, 2]))))
                for name in names:
                    member = archive.read(name)
                    new.writestr(name, self._damaged(rng, member) if name in chosen else member)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return self._damaged(rng, content)
        return packed.getvalue()


class TooLong(BaseException):
    """A case that takes too long."""


def _too_long(number: int, frame: object) -> None:
    raise TooLong


def fault_of(path: Path) -> tuple[str, str]:
    """Return what became of a case, and the fault, or ""."""
    before = time.process_time()
    try:
        reading = formats.read(path)
    except InputError as error:
        if str(path) not in str(error):
            return "refused", f"the message does not name the file: {error}"
        return "refused", ""
    except TooLong:
        return "fault", f"takes more than {SECONDS} seconds"
    except MemoryError:
        return "fault", "takes more than 1 GiB"
    except BaseException:
        return "fault", traceback.format_exc()
    try:
        if reading.format in formats.TABLES:
            list(formats.open_table(path, lambda cells: "title" in cells)[2])
            list(formats.rows_under_header(path, reading.format)[1])
    except InputError:
        pass
    except BaseException:
        return "fault", traceback.format_exc()
    if reading.announced != len(reading.records) + len(reading.problems):
        return "read", "announced is not kept and problems"
    if time.process_time() - before > SECONDS:
        return "read", f"takes {time.process_time() - before:.0f} seconds"
    return "read", ""


def work(first: int, end: int, folders: list[Path], keep: Path) -> None:
    """Read some cases; print a line for each fault, and a last one with the counts."""
    cases, counts, longest = Cases(seeds(folders)), Counter[str](), 0.0
    resource.setrlimit(resource.RLIMIT_AS, (3 * MEMORY, 3 * MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory(prefix="triage-fuzz-") as folder:
        for number in range(first, end):
            name, content = cases.case(number)
            path = Path(folder, name)
            path.write_bytes(content)
            print(json.dumps({"at": number}), flush=True) if number % 100 == 0 else None
            (keep / "now").write_text(str(number))
            signal.alarm(3 * SECONDS)  # of the clock, on a machine that may be busy
            started = time.process_time()
            kind, fault = fault_of(path)
            signal.alarm(0)
            longest = max(longest, time.process_time() - started)
            counts[kind] += 1
            if fault:
                counts["faults"] += 1
                (keep / name).write_bytes(content)
                print(json.dumps({"case": name, "fault": fault[-1500:]}), flush=True)
            path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"counts": counts, "longest": longest, "peak_mib": peak}), flush=True)


def main() -> int:
    """Run the cases in children of this process and say what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--from", dest="folders", type=Path, nargs="*", default=SEEDS)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "triage-fuzz")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.work:
        work(options.first, options.first + options.cases, options.folders, options.keep)
        return 0
    options.folders = [*options.folders, make_binaries(options.keep / "made")]
    files = seeds(options.folders)
    print(
        f"{len(files)} files: " + ", ".join(f"{n} {e}" for e, n in Counter(p.suffix[1:].lower() for p in files).items())
    )
    counts, longest, peak = Counter[str](), 0.0, 0.0
    first, end, started = options.first, options.first + options.cases, time.monotonic()
    while first < end:
        until = min(first + AT_ONCE, end)
        command = [sys.executable, __file__, "--work", "--first", str(first), "--cases", str(until - first)]
        command += ["--keep", str(options.keep), "--from", *map(str, options.folders)]
        done = subprocess.run(command, capture_output=True, text=True)
        last = {}
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                last = json.loads(line)
                if "fault" in last:
                    print(f"{last['case']}: {last['fault']}", flush=True)
        if done.returncode:
            # What it had counted is lost with it; the cases after the one that ended it are run by the next child.
            number = int((options.keep / "now").read_text())
            name, content = Cases(files).case(number)
            (options.keep / name).write_bytes(content)
            print(f"{name}: the process ended with {done.returncode}: {done.stderr[-800:]}", flush=True)
            counts["faults"] += 1
            until = number + 1
        else:
            counts.update(last["counts"])
            longest, peak = max(longest, last["longest"]), max(peak, last["peak_mib"])
        first = until
        print(
            f"{first - options.first:,} cases in {time.monotonic() - started:,.0f} s: {counts['read']:,} read, "
            f"{counts['refused']:,} refused, {counts['faults']} faults; longest {longest:.1f} s of the "
            f"processor, peak {peak:,.0f} MiB",
            flush=True,
        )
    return int(counts["faults"] > 0 or peak > MEMORY / 2**20)


if __name__ == "__main__":
    sys.exit(main())
