"""The commented protocol that a new review begins with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from .. import preset_catalogue
from ..stopping_rules import DEFAULT_RULE, PROMISES, RULES
from .model import COLOURS


def template() -> str:
    """Return a commented protocol.toml to fill in; unchanged it means `Protocol()`."""
    models = textwrap.fill(preset_catalogue.in_words(), 116, initial_indent="## ", subsequent_indent="## ")
    rules = "\n".join(_rules_by_promise())
    return (
        _TEMPLATE.replace("@MODELS@", models)
        .replace("@RULES@", rules)
        .replace("@DEFAULT@", DEFAULT_RULE)
        .replace("@COLOURS@", ", ".join(COLOURS[2:]))
    )


def _rules_by_promise() -> Iterator[str]:
    for promise, means in PROMISES.items():
        yield f"## ----   {promise}: {means}"
        for row in RULES.values():
            if row.promise == promise:
                size = "; its size is audit_size = NUMBER" if row.needs_audit_size else ""
                yield f"## ----       {row.name:<12} {row.described}{size}"


_TEMPLATE = '''\
## The protocol of the review. Everything here is optional: a line that begins with # says nothing, so
## take the single # off the lines that you want and write your own words into them. Fill it in at any
## time: the next command takes the changes over, and the old version is kept in the review.

# title = "Peer support in mental health"

## The question, in a sentence or two. It is read together with the criteria for the first ranking.
# question = """
# What forms of support by and for adults with mental health difficulties have been studied, and
# with what results?
# """

## Tags to put on included records; the report counts them.
# tags = ["review", "qualitative"]

## Papers that you know to be relevant, each by its DOI, PMID or title: the overview and `triage status` say which of them
## the import lacks (a sign that the search misses something), and which rank badly. The ranking learns from them as from
## relevant records until they are screened themselves; none is labelled by it, and no recall is claimed by it.
# key_papers = ["10.1176/ps.2006.57.8.1179", "16870971", "Peer support among individuals with severe mental illness"]

## The ranking, one of these:
@MODELS@
# model = "default"

## What the ranking learns from: the decisions of the stage that is screened, or final: where a record has been
## judged at a later stage, that judgment. Recall is that of the stage's own decisions either way.
# learn_from = "stage"

## 2: every record needs the decisions of two reviewers, and their conflicts are settled.
# reviewers_per_record = 1

## A calibration round: so many records, drawn at random, that every reviewer gets first. `triage agreement` shows
## how well they agree on them.
# calibration = 20

## Checks of attention: after so many random draws, few of which are relevant, one that is known to be relevant is shown
## once more. The report says how many were recognised; nothing else changes by it.
# attention_checks = 50

## ---- From here on come tables. A key belongs to the line with [ above it, so what is above this line is
## ---- for the whole protocol and must stay above.

## ---- Sources: the databases searched, as the report's methods paragraph names them.
# [[sources]]
# name = "PubMed"
# search = "((peer OR consumer) AND support) AND (mental health OR psychiatr*)"
# searched_on = 2010-08-31

## ---- Criteria. Each is a query of its own for the first ranking, before any record is labelled: write
## ---- what a relevant abstract says, in its words. A text may go over several lines between three
## ---- quotes. You pick the code of an exclusion criterion as the reason when you exclude a record.
# [[include]]
# code = "PEER"
# text = "Support given by and for adults with mental health difficulties, face to face."

# [[exclude]]
# code = "ONLINE"
# text = "Support over the internet or the telephone only."

# [[exclude]]
# code = "CHILD"
# text = """
# Children and adolescents;
# support at school.
# """

## ---- Limits: what `triage filter` removes before screening, each removal with its reason in the log.
## ---- Languages by English name or ISO 639 code; a date may be a year, a month or a day.
# [limits]
# languages = ["English"]
# published_from = "1980-01"
# published_to = "2010-08"
# exclude_types = ["editorial", "letter", "comment"]

## ---- Stages: any number, named freely. Without any there is one, "abstract", whose reasons are the
## ---- exclusion criteria; so are the first stage's where it names none. Reasons are codes from above,
## ---- or new ones with a text, in the order of their priority: the first that holds is the one to give,
## ---- and of two people's the one that counts. The reason that not_retrieved names is counted apart in
## ---- the flow figure, as a report that could not be had.
# [[stages]]
# name = "abstract"
# reasons = ["ONLINE", "CHILD"]

# [[stages]]
# name = "full-text"
# reasons = [{ code = "NOTEXT", text = "No full text to be had." }, "CHILD", { code = "DATA", text = "No original data." }]
# not_retrieved = "NOTEXT"

## ---- Stopping. Name the rule and its target before screening begins, and leave them. The rules, by what they
## ---- promise:
@RULES@
# [stopping]
# rule = "@DEFAULT@"
# target = 0.95
# confidence = 0.95
## Of which records the recall is: "screened", those that are screened here, so that what came with its label counts
## neither as found nor as missed; or "all".
# recall_among = "screened"
## Of which labels: "labels", those given; or "corrected", with wrong exclusions counted as second looks find them
## (`triage screen --second-look`), which stops a review later.
# recall_of = "labels"

## ---- Machines that screen too, such as language models, whose labels came by `triage suggest`, `triage label
## ---- --machine` or `triage import --machine`. With blind a reviewer sees what they suggest for a record only after
## ---- deciding on it. With rank they move records up and down the queue, by as much as the reviewers' own labels bear
## ---- them out.
# [machines]
# blind = true
# rank = true

## ---- Words to mark in the records, for everybody who screens, beside those of the criteria: words, phrases, and
## ---- stems with an asterisk. Colours: blue (that of inclusion), orange (of exclusion), @COLOURS@.
# [[highlights]]
# name = "design"
# colour = "violet"
# words = ["random*", "controlled trial", "cohort"]
'''
