"""What the documents and docstrings name is there, and what is drawn from the package is up to date."""

import ast
import html
import os
import re
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from triage import __version__, cli, formats, protocol
from triage.web import api

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "triage"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*.md"), *ROOT.glob("data/*/*.md")])
SOURCES = sorted([*PACKAGE.rglob("*.py"), *ROOT.glob("scripts/**/*.py")])
# A module or class of ours and what it has: `status.view`, `Project.open`, `triage.recall`.
DOTTED = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(\))?`")
FOLLOWED = re.compile(r"\bsee\s+`([A-Za-z_]\w*)`")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")
PATH = re.compile(r"\b(?:triage|scripts|tests|docs|models|data)/[\w./-]*[\w/]")
FILE_ENDINGS = "toml csv tsv ris nbib html svg png pdf txt json py md sh triage bin safetensors".split()
FOREIGN = {"SentenceTransformer.encode", "criteria.whole", "ranking.attrs"}  # others' names, parameters, columns
LIBRARIES = sys.stdlib_module_names | {"numpy", "openvino", "pandas", "sklearn", "torch"}


def names_of_the_package():
    """Return what each module, package and class has, by its short name, and every name that there is."""
    has = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        for outer, inner in pairwise(parts):
            has[outer].add(inner)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                has[parts[-1]].add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                has[parts[-1]] |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                has[parts[-1]].add(node.id)
            if isinstance(node, ast.ClassDef):
                has[node.name] |= {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                has[node.name] |= {one.target.id for one in node.body if isinstance(one, ast.AnnAssign)}
                has[node.name] |= {
                    one.attr
                    for one in ast.walk(node)
                    if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)
                }
    return has, {name for names in has.values() for name in names} | set(has)


HAS, NAMES = names_of_the_package()


def place(text, match):
    return text.count("\n", 0, match.start()) + 1


@pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_named_is_there(path):
    text = path.read_text(encoding="utf-8")
    wrong = []
    for match in DOTTED.finditer(text):
        parts = match[1].split(".")
        a_variable = re.search(rf"^(?:>>> )?{parts[0]} = ", text, re.MULTILINE)
        if parts[-1] in FILE_ENDINGS or match[1] in FOREIGN or a_variable:
            continue
        if parts[0] in LIBRARIES and parts[0] not in HAS:
            continue
        if not all(inner in HAS.get(outer, ()) for outer, inner in pairwise(parts)):
            wrong.append(f"line {place(text, match)}: `{match[1]}`")
    wrong += [f"line {place(text, m)}: `{m[1]}`" for m in FOLLOWED.finditer(text) if m[1] not in NAMES]
    assert not wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    # The reference is made as the pages are built, which checks the links to it.
    wrong = [
        link for link in LINK.findall(text) if not ((path.parent / link).exists() or link.startswith("reference/"))
    ]
    for named in PATH.findall(LINK.sub("", text)):
        folder = named.rstrip("/")
        # A path of data may be a folder of the reader's own; one with an ending is a file of ours.
        if re.search(r"\.(?:py|md|sh|toml)$", folder) and not (ROOT / folder).exists():
            wrong.append(named)
    assert not wrong


def made_by(script, code):
    """Run code after the import of a script of scripts/tools as `d`; the message of a failure is how to mend it."""
    code = f"import sys; sys.path.insert(0, 'scripts/tools'); import {script} as d; {code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python scripts/tools/{script}.py`\n{done.stderr}"


def test_the_picture_and_the_table_of_the_architecture_are_those_of_the_package():
    made_by(
        "draw_architecture",
        "assert d.PICTURE.read_text(encoding='utf-8') == d.picture(), 'picture'; "
        "text = d.PAGE.read_text(encoding='utf-8'); assert text == d.page(text), 'table'",
    )


def test_the_readmes_table_of_rules_is_that_of_the_catalogue():
    made_by(
        "write_tables", "text = d.README.read_text(encoding='utf-8'); assert text == d.page(text), 'table of rules'"
    )


def test_changelog_and_citation_are_of_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\d[^]]*)\]", changelog, re.MULTILINE)[1] == __version__
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_glossary_is_in_alphabetical_order():
    terms = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(terms) > 30 and terms == sorted(terms, key=str.casefold)


def test_every_test_that_the_methods_name_is_there():
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "methods.md").read_text(encoding="utf-8"))
    assert len(named) > 25 and [name for name in named if f"def {name}(" not in tests] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the documentation as `make docs` does, where a dead link or a page outside the menu is an error."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (the extra docs)")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page):
    article = re.search(r"(?s)<article.*</article>", page.read_text(encoding="utf-8"))[0]
    return html.unescape(re.sub(r"<[^>]+>", "", article))


def test_the_documentation_is_built_and_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert {"index.html", "tutorial.html", "methods.html", "commands.html"} <= {page.name for page in pages}
    for page in pages:
        loaded = re.findall(
            r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?([^\"' >]+)", page.read_text("utf-8")
        )
        assert [one for one in loaded if re.match(r"(?:https?:)?//", one)] == [], page.name


def test_the_reference_is_that_of_the_program(site):
    told = text_of(site / "reference" / "commands.html")
    for name, command in typer.main.get_command(cli.app).commands.items():
        assert f"\ntriage {name}" in told
        for parameter in command.params:
            assert all(option in told for option in parameter.opts if option.startswith("-")), (name, parameter.opts)
    keys = text_of(site / "reference" / "protocol.html").split("What each key means")[0]
    for key in re.findall(r"^# (\w+) =", protocol.template(), re.MULTILINE):
        assert re.search(rf"^{key}$", keys, re.MULTILINE), key
    told = text_of(site / "reference" / "formats.html")
    assert all(name in told for name in (*formats.FORMATS, *formats.WRITERS, *formats.COLUMNS, *formats.PROGRAMS))
    told = text_of(site / "reference" / "http.html")
    paths = {route.path for route in api.router.routes}
    assert len(paths) > 20 and all(path in told for path in paths)
