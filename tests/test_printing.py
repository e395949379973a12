"""Whatever records, files and names hold, it steers no terminal and makes up no line, in any command."""

import os
import re
import unicodedata

import pytest
from cli_helpers import *  # noqa: F403

from triage.wording import printable

# Sequences of 7 and 8 bits that clear the screen, set the title and colours; marks that turn text around; line ends.
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31mred\x08\x7f\u202egnp\u2066\u200e\r\n\x85\u2028FORGED line"
REORDERING = {chr(c) for c in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
WITHOUT = "]0;owned[2J31mredgnp FORGED line"

PROTOCOL = r"""
title = "A \u001b[2J \u202e review\nFORGED line"
question = "Do \u001b[31m peers \u009b31m help?"
model = "fast"
tags = ["\u001b[2J\u202etag"]

[limits]
languages = ["en"]

[[include]]
code = "PEER"
text = "Peer support \u001b[31m of adults\u202e in mental health\nFORGED line"

[[exclude]]
code = "C\u001b[2J\u202eD"
text = "Children \u009b31m and\u2066 adolescents\nFORGED line"
"""


@pytest.fixture
def triage(a_triage):
    return a_triage


def record(n, **fields):
    values = {
        "TI": f"Title {n} {EVIL}",
        "AB": f"Peer support {n} of adults {EVIL.splitlines()[0]}",
        "AU": f"Doe {EVIL}, J",
        "JO": EVIL,
    }
    values |= {"KW": EVIL, "DO": f"10.1000/{n}", "PY": "2020", "LA": "en", "M3": EVIL, "XX": EVIL, **fields}
    on_a_line = {tag: re.sub(r"[\r\n]+", " ", value) for tag, value in values.items()}
    return "TY  - JOUR\n" + "".join(f"{tag}  - {value}\n" for tag, value in on_a_line.items()) + "ER  - \n\n"


def harm(text):
    """Return the lines of a text that steer the terminal, or that nobody but a file wrote."""
    steering = {c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"} | (REORDERING & set(text))
    return [
        line
        for line in text.split("\n")
        if steering.intersection(line) or re.match(r"\W*FORGED", line) or re.search(r"\w\W*\tFORGED", line)
    ]


def test_printable_text():
    assert printable(EVIL) == WITHOUT
    assert (
        printable("\ta\u00a0b  c\n") == "a b c"
        and printable("caf\u00e9 \u540c \U0001f600") == "caf\u00e9 \u540c \U0001f600"
    )
    assert (
        printable("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
        == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    )
    assert printable("a\udcffb") == "a\\udcffb"


@pytest.mark.skipif(os.name == "nt", reason="such names of files are possible on POSIX only")
def test_no_command_prints_what_steers_the_terminal(triage):
    review, name = f"r{EVIL}.triage", f"a{EVIL}.ris"
    (triage.folder / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    text = "".join(record(n) for n in range(12)) + record(3) + record(20, LA="", TI=f"Une \u00e9tude {EVIL} de la vie")
    text += f"TY  - JOUR\n{EVIL}\nER  - \n\nTY  - JOUR\nER  - \n"
    (triage.folder / name).write_text(text, encoding="utf-8")
    (triage.folder / "labels.csv").write_text(
        "record_id,label,reason,note,tags\n"
        + "".join(f'{n},{"include" if n % 3 else "exclude"},,"{EVIL}",\n' for n in range(1, 10)),
        encoding="utf-8",
    )
    (triage.folder / "others.csv").write_text(
        "record_id,label,note\n" + "".join(f'{n},exclude,"{EVIL}"\n' for n in range(1, 6)), encoding="utf-8"
    )
    (triage.folder / "wrong.csv").write_text(f'record_id,label\n1,"{EVIL}"\n2,"{EVIL}"\n', encoding="utf-8")
    (triage.folder / f"{EVIL}.csv").write_text(f'{EVIL.split()[0]},b\n"{EVIL}",1\n', encoding="utf-8")
    (triage.folder / f"1{EVIL}.pdf").write_bytes(f"not a PDF {EVIL}".encode())
    (triage.folder / f"2{EVIL}.pdf").write_bytes(b"%PDF-1.4")
    (triage.folder / "t.csv").write_text(
        "title,abstract,y\n" + "".join(f'"peer {n} {EVIL}","a {EVIL}",{n % 2}\n' for n in range(20)), encoding="utf-8"
    )
    commands = [
        ("new", review, "--protocol", "protocol.toml"),
        ("import", review, name, "--source", f"Data{EVIL}base"),
        ("import", review, name, "--source", f"Data{EVIL}base"),
        ("dedupe", review),
        ("filter", review),
        ("filter", review, "--accept-proposals"),
        ("rank", review),
        ("rank", review, "--explain", "1"),
        ("label", review, "labels.csv", "--reviewer", f"Ann {EVIL}"),
        ("label", review, "others.csv", "--reviewer", "Bob"),
        ("label", review, "labels.csv", "--machine", f"model {EVIL}"),
        ("rank", review),
        ("rank", review, "--explain", "11"),
        ("status", review),
        ("conflicts", review),
        ("agreement", review),
        ("screeners", review),
        ("log", review),
        ("people", review),
        ("invite", review, "Cat", "--role", "owner"),
        ("invite", review, f"Cat {EVIL}"),
        ("people", review),
        ("doubts", review, "--reviewer", f"Ann {EVIL}"),
        ("copy", review, f"copy{EVIL}.triage"),
        ("screen", review, "--reviewer", f"Cat {EVIL}"),
        ("attach", review, f"1{EVIL}.pdf", f"2{EVIL}.pdf"),
        ("attach", review),
        ("export", review, "-o", f"out{EVIL}.csv"),
        ("export", review, "-o", f"out{EVIL}.csv"),
        ("export", review, "-o", f"{EVIL}.xyz"),
        ("report", review, "-o", f"report{EVIL}.html"),
        ("stop", review),
        ("undo", review, "--reviewer", f"Ann {EVIL}"),
        ("undo", review, "--reviewer", f"Nobody {EVIL}"),
        ("label", review, "wrong.csv"),
        ("label", review, f"{EVIL}.csv"),
        ("import", review, f"{EVIL}.csv"),
        ("import", review, f"none{EVIL}.ris"),
        ("import", review, name, "--format", EVIL),
        ("import", review, "t.csv", "--label-column", EVIL),
        ("simulate", "t.csv", "--label-column", "y", "--model", "fast"),
        ("simulate", "t.csv", "--label-column", EVIL),
        ("simulate", f"{EVIL}.csv", "--label-column", "y"),
        ("status", f"none{EVIL}.triage"),
        ("status", review, "--stage", EVIL),
        (EVIL,),
        ("status", review, f"--{EVIL}"),
    ]
    found = []
    for command in commands:
        for more in ((), ("--json",)):
            if more and command[0] in ("new", "undo", "invite", "stop", "copy", "screen", EVIL):
                continue
            done = triage.program(*command, *more, input="i\ne\nn\nu\nh\n?\nq\n" if command[0] == "screen" else "")
            if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr:
                found.append((command[0], done.stderr))
            found += [(command[0], line) for line in harm(done.stderr) + harm(done.stdout)]
    page = (triage.folder / f"report{EVIL}.html").read_text(encoding="utf-8")
    assert not [c for c in page if c in "\x1b\x07\x08\x7f\x85\x9b\u202e\u2066"]
    assert not found, "\n".join(f"{name}: {line!r}" for name, line in found)
