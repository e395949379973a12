"""Every sentence about recall is in the table of docs/calibration.md, with a test that is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAYS_IT = (
    "status.py",
    "stops.py",
    "stopping.py",
    "session_state.py",
    "stopping_rules.py",
    "report/words.py",
    "second_look.py",
    "recall/adjudicated.py",
    *(f"recall/rules/{path.name}" for path in sorted((ROOT / "triage/recall/rules").glob("*.py"))),
)
CLAIM = re.compile(r"recall|certif|of the relevant records|among the … not screened", re.IGNORECASE)
NO_CLAIM = re.compile(r"doi:|described|^[a-z -]+$")  # references; descriptions of what a rule looks at


def plain(text):
    """Return a sentence in a form in which only its words count."""
    return re.sub(r"[\s…]+", " ", text.replace("`", "")).strip()


def table():
    text = (ROOT / "docs/calibration.md").read_text(encoding="utf-8")
    part = text.split("## What is said of recall, and what holds it")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| ")
    ]
    return rows[1:]


def sentences(source):
    """Yield the texts of a program but its docstrings, each with "…" in the place of what is put in."""
    tree = ast.parse(source)
    docs, inner = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            docs.add(id(node.body[0].value))
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | inner):
            yield node.value


def claims(source):
    found = (" ".join(text.split()) for text in sentences(source))
    return [text for text in found if CLAIM.search(text) and len(text.split()) > 2 and not NO_CLAIM.search(text)]


@pytest.mark.parametrize("name", SAYS_IT)
def test_every_sentence_about_recall_is_in_the_table(name):
    known = [plain(row[1]) for row in table()]
    source = (ROOT / "triage" / name).read_text(encoding="utf-8")
    assert [text for text in claims(source) if not any(one in plain(text) for one in known)] == []


def test_every_sentence_of_the_table_is_said_and_its_test_is_there():
    said = " ".join(plain(text) for name in SAYS_IT for text in sentences((ROOT / "triage" / name).read_text("utf-8")))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    for where, sentence, _, test in table():
        assert plain(sentence) in said, (where, sentence)
        assert f"def {test.strip('`')}(" in tests, test


def test_a_new_sentence_is_found():
    assert claims('x = f"recall is surely {1 + 1} %"') == ["recall is surely … %"]
