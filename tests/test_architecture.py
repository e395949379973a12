"""Who may import whom, kept by reading the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "triage"
LEVELS = {
    -1: {
        "as_json",
        "errors",
        "bundled",
        "stopping_rules",
        "preset_catalogue",
        "wording",
        "ending",
        "progress",
        "whole",
    },
    0: {"records", "protocol", "log", "metrics", "registrations"},
    1: {
        "machines",
        "formats",
        "dedupe",
        "eligibility",
        "searching",
        "features",
        "ranking",
        "text",
        "recall",
        "agreement",
    },
    2: {"project"},
    3: {"ranking.review", "ranking.answers", "flow", "second_look", "session_state", "status", "report", "team"}
    | {"intake", "screening", "simulation", "fulltext", "screeners", "stops", "stopping", "suggesting", "studies"}
    | {"highlights", "key_papers", "found", "assigning"},
    4: {"terminal", "web", "demo", "interface"},
    5: {"cli"},
    6: {"__main__"},
}
# Modules of one level lean on each other only in these ways.
SIDEWAYS = {
    ("preset_catalogue", "bundled"),
    ("log", "records"),
    ("intake", "screening"),
    ("screening", "ranking.review"),
    ("ranking.review", "key_papers"),
    ("simulation", "screening"),
    ("simulation", "ranking.review"),
    ("flow", "studies"),
    ("intake", "studies"),
    ("report", "flow"),
    ("report", "status"),
    ("report", "team"),
    ("report", "stops"),
    ("stopping", "status"),
    ("stopping", "stops"),
    ("stopping", "session_state"),
    ("status", "stops"),
    ("status", "key_papers"),
    ("status", "found"),
    ("screening", "found"),
    ("assigning", "found"),
    ("assigning", "ranking.review"),
    ("status", "assigning"),
    ("status", "flow"),
    ("status", "second_look"),
    ("stopping", "second_look"),
    ("session_state", "second_look"),
    ("status", "session_state"),
    ("second_look", "flow"),
    ("suggesting", "ranking.review"),
}
ONLY_IN = {
    # An ASReview project is SQLite files, so its reader needs the module; our own storage stays in project.
    "sqlalchemy": {"project"},
    "sqlite3": {"project", "formats"},
    "torch": {"features"},
    "sentence_transformers": {"features"},
    "openvino": {"features"},
    "httpx2": {"suggesting"},
    "typer": {"cli"},
}
LAZY = {
    "torch",
    "sentence_transformers",
    "transformers",
    "pandas",
    "sklearn",
    "pyarrow",
    "openpyxl",
    "matplotlib",
    "PIL",
}
# An estimator's class needs scikit-learn's base classes, so these files are loaded only by what reads vectors, or by
# whoever asks the package for its estimator.
LOADS_SKLEARN = {"features/encoder/sentence.py", "interface/ranker.py"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    """Name the part of the package that a file belongs to."""
    return part(".".join(path.relative_to(PACKAGE).with_suffix("").parts))


def part(module: str) -> str:
    """Name the part of the package that a module belongs to: the longest name that has a level."""
    names = module.split(".")
    known = {name for names in LEVELS.values() for name in names}
    return next((name for n in (2, 1) if (name := ".".join(names[:n])) in known), names[0])


def level(name: str) -> int:
    return next(n for n, names in LEVELS.items() if name in names)


def imports(path: Path):
    """Yield (module, of our package, at module level) for each import of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    typing_only = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and getattr(i.test, "id", "") == "TYPE_CHECKING"
        for n in ast.walk(i)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        top = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], False, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            depth = len(path.relative_to(PACKAGE).parts) - node.level
            if node.level == 0:
                yield node.module.split(".")[0], False, top
            elif depth == 0:
                prefix = f"{node.module}." if node.module else ""
                yield from ((part(f"{prefix}{alias.name}"), True, top) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_the_levels(path):
    me = unit(path)
    if me in ("__init__", "_bundled"):
        return
    for name, ours, top in imports(path):
        if ours and name != "__version__":
            allowed = level(name) < level(me) or (me, name) in SIDEWAYS or name == me
            assert allowed, f"{me} may not import {name}"
        elif not ours:
            assert me in ONLY_IN.get(name, {me}), f"{me} may not import {name}"
            is_estimator = path.relative_to(PACKAGE).as_posix() in LOADS_SKLEARN
            lazy = top and name in LAZY and not (name == "sklearn" and is_estimator)
            assert not lazy, f"{me} must import {name} inside the function that needs it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_house_rules(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    taken = path.name == "output.py" or any(
        isinstance(node, ast.ImportFrom) and node.module == "output" and "print" in [alias.name for alias in node.names]
        for node in tree.body
    )
    for node in ast.walk(tree):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{where}: bare except"
        assert not isinstance(node, ast.Assert), f"{where}: assert in the package"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert unit(path) in ("cli", "terminal"), f"{where}: only cli and terminal print"
            # Under that name the command line has a function of its own, which prints nothing that steers a terminal.
            assert unit(path) != "cli" or taken, f"{where}: take `print` from .output"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "random":
            assert node.attr in ("Generator", "default_rng", "SeedSequence"), f"{where}: global random state"
        if isinstance(node, ast.ClassDef) and unit(path) != "features":  # whose settings are read from a file
            bases = {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
            assert "TypedDict" not in bases, f"{where}: a result is a frozen dataclass, which as_json turns into JSON"
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            assert node.args.kwarg is None, f"{where}: **{getattr(node.args.kwarg, 'arg', '')} in a signature"


def test_what_reads_no_vectors_loads_no_heavy_library():
    code = (
        "import sys; from triage import cli, intake, features, ranking, screening, simulation, status, report, "
        f"terminal; print(*(set({sorted(LAZY)!r}) & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("missing", "extra", "arguments"),
    [
        ("pyarrow", "parquet", ["simulate", "t.parquet", "--label-column", "label"]),
        ("matplotlib", "figures", ["report", "r.triage", "-o", "flow.png"]),
        ("psycopg", "team", ["status", "postgresql://ann@localhost/reviews?review=one"]),
        (
            "httpx2",
            "llm",
            ["suggest", "r.triage", "--endpoint", "http://localhost/v1", "--model", "m", "--all", "--yes"],
        ),
    ],
)
def test_what_only_some_need_is_asked_for_by_its_extra(tmp_path, missing, extra, arguments):
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + b"\0" * 20 + b"PAR1")
    # Files are read by a process of their own, which finds the same modules by the same path.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / f"{missing}.py").write_text(f"raise ModuleNotFoundError('no module', name={missing!r})")
    code = (
        "import sys; sys.path.insert(0, 'hidden'); from triage import cli; "
        "cli.run(['new', 'r.triage']); sys.exit(cli.run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    told = done.stderr.strip().splitlines()
    assert (
        done.returncode == 2
        and f"pip install 'abstract-triage[{extra}]'." in told[-1]
        and "Traceback" not in done.stderr
    )
