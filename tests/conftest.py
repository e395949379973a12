"""What several tests share: small reviews, and the shared labelled reviews where they are there."""

import os
import shutil
import signal
import subprocess
import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from triage import intake, ranking
from triage.log import Event, Kind, Label, Origin, Stage, stage_of
from triage.project import Project

# Helpers say what differs where they fail, as tests do.
pytest.register_assert_rewrite(*(path.stem for path in Path(__file__).parent.glob("*_helpers.py")))

# How long one example takes says more of what else the machine does than of the code.
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

SHARED = Path(__file__).resolve().parents[2] / "shared"
DEMO = Path(__file__).resolve().parents[1] / "data" / "demo"

PROTOCOL = """
title = "Peer support"
question = "Peer support of adults in mental health care"
model = "fast"

[[include]]
code = "PEER"
text = "Peer support of adults with mental health difficulties."

[[exclude]]
code = "CHILD"
text = "Children and adolescents."

[[exclude]]
code = "ONLINE"
text = "Support over the internet."
"""

STATUS_KEYS = {
    "stage",
    "records",
    "screened",
    "relevant_found",
    "maybe",
    "unscreened",
    "target",
    "confidence",
    "certificate",
    "estimate",
    "rules",
    "workload",
    "verdict",
    "machines",
}
# The boxes of the published flow figure of the worked example.
PUBLISHED_BOXES = (
    "Records identified (n = 6,257)",
    "Duplicates removed (n = 1,466)",
    "Records after duplicates removed (n = 4,791)",
    "Removed by the language limit (n = 142)",
    "Records screened: abstract (n = 4,649)",
    "Records excluded (n = 4,511)",
    "Records screened: quality (n = 138)",
    "Records excluded (n = 33)",
    "Records screened: full-text (n = 105)",
    "Records excluded (n = 54)",
    "Studies included in review (n = 51)",
    "Reports of included studies (n = 51)",
)

TOPICS = (
    "peer support workers help adults with schizophrenia in community mental health services to recover",
    "soil bacteria fix nitrogen in the roots of legumes under drought and heat in dry land farming",
    "steel beams of bridges corrode in sea air and lose strength over decades of heavy road traffic",
)


def sample_ris(n: int, first: int = 0, relevant_every: int = 6) -> str:
    """Return n records of RIS: every so many of them about peer support, the others of other fields."""
    rng = np.random.default_rng(n + first)
    lines = []
    for i in range(first, first + n):
        topic = TOPICS[0] if i % relevant_every == 0 else TOPICS[1 + i % 2]
        words = list(rng.permutation(topic.split()))
        lines.append(
            f"TY  - JOUR\nTI  - {' '.join(words[:8])} number{i}\nAB  - {' '.join(words)} {' '.join(words[::-1])} study{i}.\n"
            f"AU  - Author{i}, A\nPY  - {1990 + i % 30}\nU1  - kept {i}\nER  - \n"
        )
    return "\n".join(lines)


def pytest_configure() -> None:
    # A shell starts what it runs in the background deaf to interrupts, and so is every program that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Log:
    """A log in memory, with one stage whose audit permutations it holds; a project writes the same events."""

    def __init__(self, stage: str = "abstract", earlier: tuple[str, ...] = ()) -> None:
        self.events: list[Event] = []
        self.plans: list[tuple[int, np.ndarray]] = []
        self.name = stage
        self.earlier = earlier

    def add(self, kind: Kind, **fields) -> Event:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        self.events.append(Event(len(self.events) + 1, kind, at, **fields))
        return self.events[-1]

    def show(self, record_id: int, origin: Origin = Origin.RANKED, pool_size: int = 1, reviewer: str = "ann") -> Event:
        return self.add(
            Kind.SHOWN, stage=self.name, record_id=record_id, reviewer=reviewer, origin=origin, pool_size=pool_size
        )

    def decide(self, record_id: int, label: Label, reviewer: str = "ann", stage: str = "", **fields) -> Event:
        return self.add(
            Kind.DECISION,
            stage=stage or self.name,
            record_id=record_id,
            reviewer=reviewer,
            label=label,
            **{"origin": Origin.CHOSEN, **fields},
        )

    def tag(self, record_id: int, tag: str, reviewer: str = "ann", stage: str = "") -> Event:
        return self.add(Kind.TAG, stage=stage or self.name, record_id=record_id, reviewer=reviewer, reason=tag)

    def link(self, copy: int, kept: int) -> Event:
        return self.add(Kind.DUPLICATE, record_id=copy, other_id=kept)

    def remove(self, record_id: int) -> Event:
        return self.add(Kind.REMOVAL, record_id=record_id, reason="language")

    def undo(self, event: Event) -> Event:
        return self.add(Kind.UNDO, stage=event.stage, record_id=event.record_id, undoes=event.seq)

    def plan(self, record_ids) -> Event:
        self.plans.append((len(self.events) + 1, np.array(record_ids)))
        return self.add(Kind.PLAN, stage=self.name)

    def stage(self, n: int) -> Stage:
        return stage_of(self.name, self.earlier, np.arange(1, n + 1), self.events, self.plans)


class PostgreSQL:
    """A real server in a folder of its own, reached by a socket in it."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="triage-pg-"))
        self.data = self.folder / "data"
        # It refuses to run as root; Debian's package brings a user for it.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.folder, self.user)
        self._run("initdb", "-D", self.data, "-U", "triage", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        self.start()
        self._run("createdb", "-h", self.folder, "-U", "triage", "reviews")
        self._numbers = count(1)

    def _run(self, program, *arguments) -> None:
        done = subprocess.run(
            [self.programs / program, *map(str, arguments)],
            user=self.user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c max_connections=200"
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it; "immediate" is a crash."""
        self._run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def address(self, name: str | None = None) -> str:
        """Return the address of a review, of a new one when no name is given."""
        return f"postgresql://triage@/reviews?host={self.folder}&review={name or f'r{next(self._numbers)}'}"


@pytest.fixture(scope="session")
def postgresql():
    """Start a server for the session; skip where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    server = PostgreSQL(found[-1].parent if found else Path(on_path).parent)
    yield server
    server.stop("immediate")
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def storage():
    """Name where reviews live in a test: a file; a module of tests may ask for both: `storage = both_storages`."""
    return "file"


BOTH = ["file", "postgresql"]


@pytest.fixture(params=BOTH)
def both_storages(request):
    return request.param


@pytest.fixture
def place(storage, tmp_path, request, monkeypatch):
    """Give a function that returns where a new review is to be made: a file's path or an address."""
    if storage == "file":
        numbers = count(1)
        return lambda name="a review": tmp_path / f"{name}.triage" if name else tmp_path / f"r{next(numbers)}.triage"
    server = request.getfixturevalue("postgresql")
    monkeypatch.setenv("TRIAGE_CACHE", str(tmp_path / "cache"))  # a review on a server has its vectors there
    return lambda name="": server.address()


@pytest.fixture
def review(tmp_path, place):
    """Give a function that makes a review of n records; relevant are those with id = 1 modulo 6."""
    made = []

    def make(n: int = 60, protocol: str = PROTOCOL) -> Project:
        path = place("my review")
        (tmp_path / "protocol.toml").write_text(protocol, encoding="utf-8")
        (tmp_path / "pubmed.ris").write_text(sample_ris(n), encoding="utf-8")
        intake.new(path, tmp_path / "protocol.toml")
        project = Project.open(path)
        made.append(project)
        intake.import_files(project, [tmp_path / "pubmed.ris"], reviewer="ann")
        return project

    yield make
    for project in made:
        project.close()


@pytest.fixture(scope="session")
def elas_u4():
    """ASReview's ELAS u4 as a preset."""
    return ranking.load_preset("elas-u4")
