"""The fuzzer of the readers: it finds what it looks for, and some thousand of its cases, of which it found no fault in."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from triage import formats
from triage.errors import InputError

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "tools" / "fuzz_formats.py"
FILES = Path(__file__).parent / "files"
sys.path.insert(0, str(SCRIPT.parent))

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits and alarms of POSIX")


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (lambda path, tally: iter([{}["a part"]]), "KeyError"),
        (lambda path, tally: iter([bytes(2**50)]), "1 GiB"),
        (lambda path, tally: refuse("no name in it"), "does not name the file"),
        (lambda path, tally: refuse(f"{path} is damaged"), ""),
    ],
)
def test_it_tells_a_fault_from_a_refusal(tmp_path, monkeypatch, reader, said):
    import fuzz_formats

    (tmp_path / "a.ris").write_text("TY  - JOUR\nTI  - One\nER  - \n", encoding="utf-8")
    assert fuzz_formats.fault_of(tmp_path / "a.ris") == ("read", "")
    monkeypatch.setitem(formats._READERS, "ris", reader)
    assert said in (found := fuzz_formats.fault_of(tmp_path / "a.ris")[1]) and bool(said) == bool(found)


def refuse(message):
    raise InputError(message)


def test_a_case_is_the_same_each_time_and_no_two_are_alike():
    import fuzz_formats

    cases = fuzz_formats.Cases(fuzz_formats.seeds([FILES]))
    assert cases.case(7) == fuzz_formats.Cases(fuzz_formats.seeds([FILES])).case(7)
    assert len({cases.case(n)[1] for n in range(40)}) > 30


def test_a_case_that_ends_the_process_is_kept_and_the_others_go_on(tmp_path):
    code = f"""
import sys; sys.argv = ["fuzz_formats.py", *sys.argv[1:]]; sys.path.insert(0, {str(SCRIPT.parent)!r})
import os, fuzz_formats
from triage import formats
read = formats.read
formats.read = lambda path: os.abort() if path.name.startswith("case3.") else read(path)
fuzz_formats.__file__ = {str(tmp_path / "again.py")!r}
sys.exit(fuzz_formats.main())
"""
    (tmp_path / "again.py").write_text(code, encoding="utf-8")
    command = [sys.executable, tmp_path / "again.py", "--cases", "6", "--keep", tmp_path / "kept", "--from", FILES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "the process ended with -6" in done.stdout, done.stdout + done.stderr
    assert [path.name[:6] for path in (tmp_path / "kept").glob("case*")] == ["case3."]


def test_some_thousand_cases_have_no_fault(tmp_path):
    """Those of now, so that every run of the tests tries others."""
    first = int(time.time()) * 1000
    command = [sys.executable, SCRIPT, "--cases", "2000", "--first", str(first), "--keep", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and "0 faults" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
