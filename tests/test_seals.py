"""A cache that a crash has damaged gives the ranking of a fresh one."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import PROTOCOL

from triage import cli, features

TITLES = ["peer support of adults", "soil bacteria", "peer review of steel bridges", "support workers", "", "peers"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def zeroed(path):
    """Do what a crash of the machine does: the file has its length and nothing in it."""
    path.write_bytes(bytes(path.stat().st_size))


def half_written(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path):
    path.write_bytes(b"")


DAMAGES = [cut_short, zeroed, half_written, emptied, os.unlink]


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """Give a folder with a review that was never ranked and its whole cache, and the right ranking."""
    from conftest import sample_ris

    from triage import intake
    from triage.project import Project

    folder = tmp_path_factory.mktemp("ranked")
    (folder / "protocol.toml").write_text(PROTOCOL.replace('model = "fast"', ""), encoding="utf-8")
    (folder / "records.ris").write_text(sample_ris(30), encoding="utf-8")
    intake.new(folder / "new.triage", folder / "protocol.toml")
    with Project.open(folder / "new.triage") as project:
        intake.import_files(project, [folder / "records.ris"], reviewer="ann")
    shutil.copy(folder / "new.triage", folder / "review.triage")
    done = subprocess.run(
        [sys.executable, "-m", "triage", "rank", folder / "review.triage", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.move(folder / "new.triage", folder / "review.triage")
    return folder, json.loads(done.stdout)["records"]


@pytest.fixture
def rank(ranked, tmp_path, capsys):
    """Give (a copy of the cache, a function that ranks a new copy of the review with it)."""
    shutil.copytree(ranked[0], tmp_path, dirs_exist_ok=True)

    def run():
        shutil.copy(ranked[0] / "review.triage", tmp_path)
        assert cli.run(["rank", str(tmp_path / "review.triage"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)["records"]

    return tmp_path / "review.cache", run


def right(found, expected):
    return [record["record_id"] for record in found] == [record["record_id"] for record in expected] and np.allclose(
        [record["score"] for record in found], [record["score"] for record in expected], atol=1e-5
    )


def test_a_whole_cache_is_used_and_nothing_said(ranked, rank, caplog, monkeypatch):
    monkeypatch.setattr(features.KeptViews, "make", None)
    assert right(rank[1](), ranked[1]) and not caplog.records


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("view", ["words", "stems", "titles", "static", "embedding"])
def test_a_damaged_view_gives_the_ranking_of_a_fresh_cache(ranked, rank, caplog, view, damage):
    cache, run = rank
    (folder,) = cache.glob(f"views/{view}*")
    damage(max(folder.glob("*.npy"), key=lambda file: file.stat().st_size))
    for _ in range(2):
        assert right(run(), ranked[1])
    assert ["damaged" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_markers_give_the_ranking_of_a_fresh_cache(ranked, rank, caplog, damage):
    cache, run = rank
    markers = list(cache.glob("views/*/whole"))
    for marker in markers:
        damage(marker)
    for _ in range(2):
        assert right(run(), ranked[1])
    # Without a marker it is what another program may be making.
    assert len(caplog.records) == (0 if damage is os.unlink else len(markers))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cache_that_is_damaged_everywhere_gives_the_ranking_of_a_fresh_one(ranked, rank, damage):
    cache, run = rank
    for file in [file for file in cache.rglob("*") if file.is_file()]:
        damage(file)
    for _ in range(2):
        assert right(run(), ranked[1])


def test_the_user_is_told_in_one_line(ranked, tmp_path):
    shutil.copytree(ranked[0], tmp_path, dirs_exist_ok=True)
    (folder,) = (tmp_path / "review.cache").glob("views/stems*")
    zeroed(folder / "data.npy")
    done = subprocess.run(
        [sys.executable, "-m", "triage", "rank", tmp_path / "review.triage", "--json"], capture_output=True, text=True
    )
    assert right(json.loads(done.stdout)["records"], ranked[1])
    assert [line for line in done.stderr.splitlines() if "damaged" in line] == [
        f"The cached {folder} is damaged (data.npy is not as it was written); it is made again."
    ]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_array_is_checked(tmp_path, damage):
    texts = features.Texts(len(TITLES), lambda: iter([(title, "") for title in TITLES]), "a")

    def build():
        return features.build_views(texts, ["words"], cache_dir=tmp_path).matrices["words"].toarray()

    expected = build()
    (folder,) = tmp_path.glob("views/*")
    names = [file.name for file in folder.iterdir()]
    assert len(names) > 5
    for name in names:
        (marker,) = tmp_path.glob("views/*/whole")
        damage(marker.with_name(name))
        assert (build() == expected).all(), name


# Describes texts with each of the caches that it is given, and kills itself at another step of the writing each time.
KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from triage import features
from triage.features.encoder import SentenceEmbedding, embed
from triage.records import content_hash

class Hashes(SentenceEmbedding):
    def key(self):
        return "hashes"

    def transform(self, texts, progress=None):
        return np.array([np.frombuffer(content_hash(t), np.uint8)[:4] for t in texts], np.float32)

def build(cache):
    titles = {titles!r}
    texts = features.Texts(len(titles), lambda: iter([(title, "") for title in titles]), "a")
    views = features.build_views(texts, ["words", "titles", "static"], cache_dir=cache, question="peer support")
    vectors = embed(titles, Hashes(), cache_dir=cache)
    arrays = [m if isinstance(m, np.ndarray) else m.toarray() for m in views.matrices.values()]
    return [*arrays, views.criteria["words"], vectors]

def dies_at(step):
    def counted(function):
        def call(*arguments, **options):
            nonlocal step
            made = function(*arguments, **options)
            if step == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            step -= 1
            return made
        return call

    for name in ("fsync", "rename", "replace", "mkdir", "posix_fallocate"):
        setattr(os, name, counted(getattr(os, name)))
    opened, created = Path.open, counted(Path.open)
    Path.open = lambda path, mode="r", *options, **named: (created if "w" in mode else opened)(
        path, mode, *options, **named
    )
"""


def program(more):
    return KILLED.replace("{titles!r}", repr(TITLES)) + more


def same(found, expected):
    return len(found) == len(expected) and all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_between_any_two_writes_leaves_a_cache_that_is_right(tmp_path, caplog):
    more = """
step = 0
while True:
    if not (child := os.fork()):
        dies_at(step)
        build(Path(sys.argv[1]) / str(step))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    step += 1
print(step)
"""
    done = subprocess.run([sys.executable, "-c", program(more), tmp_path], capture_output=True, text=True, check=True)
    steps = int(done.stdout)
    assert steps > 10
    scope = {}
    exec(program(""), scope)
    expected = scope["build"](tmp_path / "fresh")
    for step in range(steps):
        for _ in range(2):
            assert same(scope["build"](tmp_path / str(step)), expected), step
    assert not caplog.records, "what was not finished is no damage"


def test_processes_that_make_the_same_cache_at_once_are_all_right(tmp_path):
    more = """
expected = build(Path(sys.argv[1]) / f"of {os.getpid()}")
for turn in range(15):
    found = build(Path(sys.argv[1]) / f"turn {turn}")
    if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
        sys.exit(f"turn {turn} is wrong")
"""
    with ThreadPoolExecutor(3) as pool:
        command = [sys.executable, "-c", program(more), tmp_path]
        for done in pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(3)):
            assert done.returncode == 0 and not done.stderr, done.stderr
