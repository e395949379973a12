"""Replay a published review, stage by stage, to its flow figure: Miyamoto & Sono 2012, data/peer_support.

Usage: python scripts/peer_support/replay.py [FOLDER]        (it must not exist; peer-support-replay when left out)

The review published its numbers, not its records, so the five exports are made from real records of other
reviews (exports.py) and the decisions are rules on words (below): what is replayed is the way of the
records. Duplicates and languages are found by `triage`, which is told nothing of them. Every step is a command of
`triage`; each number is held against the published one, and the script ends with 1 where one differs.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exports import Exports, Work, build

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
PROTOCOL = ROOT / "data" / "peer_support" / "protocol.toml"
REVIEWER = "replay"
# What the review published: retrieved, duplicates, left, not English, left, and of each stage who was excluded and
# who stayed.
PUBLISHED = (6257, 1466, 4791, 142, 4649, 4511, 138, 33, 105, 54, 51)
STAGES = {"abstract": 138, "quality": 105, "full-text": 51}
# The abstract gives the first two; how the others spread is ours.
TAGS = {"review": 8, "qualitative": 19, "quantitative": 14, "case report": 4, "mixed methods": 6}
PICTURES = ("report.html", "flow.svg", "flow.png", "flow.pdf", "prisma.csv")


@dataclass(frozen=True)
class Replayed:
    """What came out: the numbers in the order of `PUBLISHED`, and how the tool reached the first of them."""

    numbers: tuple[int, ...]
    sure: int
    decided: int
    reasons: dict[str, int]
    stated: int
    proposed: int
    tags: dict[str, int]
    exports: Exports


def replay(folder: Path, *, data: Path = DATA, say: Callable[[str], None] = print) -> Replayed:
    """Make the review in `folder`, from the exports to the pictures."""
    folder.mkdir()
    exports = build(data, folder)
    shutil.copyfile(PROTOCOL, folder / "protocol.toml")
    run = Triage(folder, say)
    run("new", "--protocol", "protocol.toml")
    for source, path in exports.files.items():
        run("import", path.name, "--source", source, "--reviewer", REVIEWER)
    found = run("dedupe", "--reviewer", REVIEWER)
    decided = decide_maybes(run, found["maybes"], exports)
    checked = run("filter", "--reviewer", REVIEWER)
    filtered = run("filter", "--accept-proposals", "--reviewer", REVIEWER)
    duplicates, stated = found["duplicates"] + decided, checked["removed"].get("language", 0)
    removed = stated + filtered["removed"].get("language", 0)
    numbers = [found["records"], duplicates, found["records"] - duplicates, removed, filtered["left"]]
    for stage, rows in decisions(exports).items():
        path = folder / f"decisions-{stage}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(("record_id", "label", "reason", "tags"))
            table.writerows(rows)
        run("label", path.name, "--stage", stage, "--reviewer", REVIEWER)
        status = run("status", "--stage", stage)
        numbers += [status["screened"] - status["relevant_found"], status["relevant_found"]]
    for name in PICTURES:
        run("report", "-o", name)
    run("export", "-o", "included.csv", "--stage", stage, "--only", "included")
    with (folder / "included.csv").open(encoding="utf-8-sig", newline="") as file:
        tags = Counter(tag for row in csv.DictReader(file) for tag in row["tags"].split("; ") if tag)
    return Replayed(
        tuple(numbers), found["duplicates"], decided, found["reasons"], stated, removed - stated, dict(tags), exports
    )


class Triage:
    """Runs commands of `triage` on one review, as a user would type them, and returns what they print as JSON."""

    review = "review.triage"

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def __call__(self, command: str, *arguments: str, keys: str = "") -> dict:
        self.say(" ".join(("triage", command, self.review, *arguments)))
        done = subprocess.run(
            [sys.executable, "-m", "triage", command, self.review, *arguments, "--json"],
            cwd=self.folder,
            env=self.environment,
            input=keys,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        if done.returncode:
            raise RuntimeError(f"triage {command} ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def decide_maybes(run: Triage, questions: Sequence[dict], exports: Exports) -> int:
    """Answer what dedupe asks as a person at the keys would, knowing the works; return how many pairs are linked."""
    if not questions:
        return 0
    work = {i: ids[0] for ids in exports.groups for i in ids}
    keys = ["y" if work[pair["copy_id"]] == work[pair["kept_id"]] else "n" for pair in questions]
    return run("dedupe", "--decide", "--reviewer", REVIEWER, keys="\n".join([*keys, ""]))["linked"]


# -- the decisions -----------------------------------------------------------------------------

_RELEVANT = (
    "peer",
    "support",
    "self-help",
    "mutual",
    "consumer",
    "recovery",
    "psychosocial",
    "mental health",
    "psychiatr",
    "schizophren",
    "group",
)
_FIRST_REASONS = {
    "CHILD": ("child", "adolescen", "infant", "pediatr", "paediatr"),
    "SCHOOL": ("school",),
    "SUBSTANCE": ("alcohol", "substance", "gambl", "addict", "smok"),
    "JUSTICE": ("prison", "offend", "crime", "victim"),
    "BEREAVED": ("bereave", "grief"),
    "WOMEN": ("women", "pregnan", "menopaus", "birth"),
    "CARER": ("caregiver", "carer", "famil"),
    "ONLINE": ("internet", "online", "telephone"),
    "WORK": ("nurse", "physician", "staff", "worker"),
}
_LAST_REASONS = {
    "INSTRUMENT": ("scale", "inventor", "questionnaire", "validat"),
    "PREDICTOR": ("predict",),
    "OPERATIONS": ("service", "team", "unit", "system"),
}
_QUALITY_REASONS = ("EDITORIAL", "LETTER", "COMMENT", "PRACTICE", "NO-DATA")


def decisions(exports: Exports) -> dict[str, list[tuple[int, str, str, str]]]:
    """Return the rows of each stage's decisions: record id, label, reason, tags.

    The records that name most of what the review asks for come through the first stage; of these, the ones that
    tell least fall at the second, and the ones that name least at the last.
    """
    works = {i: work for i, work in exports.works.items() if i not in exports.foreign}
    asked = {i: sum(_text(work).count(word) for word in _RELEVANT) for i, work in works.items()}
    told = {i: len(work.abstract) for i, work in works.items()}
    rows: dict[str, list[tuple[int, str, str, str]]] = {}
    left = sorted(works)
    for (stage, n), order in zip(STAGES.items(), (asked, told, asked), strict=True):
        stay = set(sorted(left, key=lambda i: (-order[i], i))[:n])
        rows[stage] = [
            (i, "include", "", "") if i in stay else (i, "exclude", _reason(stage, place, works[i]), "")
            for place, i in enumerate(left)
        ]
        left = sorted(stay)
    tags = [tag for tag, n in TAGS.items() for _ in range(n)]
    tagged = dict(zip(left, tags, strict=True))
    rows["full-text"] = [(i, label, reason, tagged.get(i, "")) for i, label, reason, _ in rows["full-text"]]
    return rows


def _text(work: Work) -> str:
    return f"{work.title} {work.abstract}".casefold()


def _reason(stage: str, place: int, work: Work) -> str:
    if stage == "quality":
        return _QUALITY_REASONS[place % len(_QUALITY_REASONS)]
    named, other = (_FIRST_REASONS, "PHYSICAL") if stage == "abstract" else (_LAST_REASONS, "PROGRAMME")
    return next((code for code, words in named.items() if any(word in _text(work) for word in words)), other)


def main(arguments: list[str]) -> int:
    """Replay and compare."""
    folder = Path(arguments[0] if arguments else "peer-support-replay")
    if folder.exists():
        print(f"{folder} exists already; name another folder, or remove it.", file=sys.stderr)
        return 2
    if not DATA.is_dir():
        print(f"The records stand in {DATA}, which is not there.", file=sys.stderr)
        return 2
    done = replay(folder)
    print(f"\n{done.sure} duplicates surely, {done.decided} decided on; by: {done.reasons}")
    print(f"{done.stated} removed by their language field, {done.proposed} proposed without one")
    print("published", *PUBLISHED)
    print("replayed ", *done.numbers)
    print("included, by tag:", done.tags)
    return 0 if done.numbers == PUBLISHED and done.tags == TAGS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
