"""The report: figures that add up, words that claim no more than the status, and nothing unescaped."""

import base64
import hashlib
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from test_figure import HOSTILE, PEER_SUPPORT, SVG, texts

from triage import report, status as statuses
from triage.errors import InputError
from triage.flow import Flow, StageFlow, flow
from triage.log import History, Origin
from triage.project import Project
from triage.protocol.model import Protocol
from triage.protocol.parsing import parse
from triage.ranking.scores import Ranking
from triage.records import Record
from triage.report import curve, words
from triage.report.curve import discovery_curve
from triage.screening.journal import commit_audit
from triage.status import (
    CertificateFacts,
    EstimateFacts,
    NoEstimate,
    Percentiles,
    RuleFacts,
    Status,
    VerdictFacts,
    WorkloadFacts,
)

PROTOCOL = """
title = "Peer support"
question = "Does it help?"
[[sources]]
name = "PubMed"
search = "peer AND support"
searched_on = 2010-08-31
[[include]]
code = "PEER"
text = "Support by peers."
[[exclude]]
code = "PHYSICAL"
text = "Physical disease."
[[exclude]]
code = "CARER"
text = "Caregivers."
[limits]
languages = ["English"]
[[stages]]
name = "abstract"
[[stages]]
name = "full-text"
"""


UNAUDITED = CertificateFacts("audit-e", None, 40, 0, False)


def a_status(**changes):
    status = Status(
        stage="abstract",
        records=100,
        screened=60,
        relevant_found=20,
        maybe=0,
        conflicts=0,
        unscreened=40,
        awaiting_labels=0,
        target=0.95,
        confidence=0.95,
        certificate=CertificateFacts("audit-e", 0.8969, 2, 12, False),
        estimate=EstimateFacts("discovery curve", 0.97, 0.9312, 0.9911, 20.6, "that the curve goes on as it did."),
        rules=[RuleFacts("cmh", True, "conditional", "p = 0.01")],
        workload=WorkloadFacts("the certificate", Percentiles(7, 1, 14), 1, 11.2, Percentiles(0.1, 0.2, 0.3)),
        label_noise=None,
        price_table={},
        price_of_certainty={},
        verdict=VerdictFacts("audit-e", False, False, "certificate", "The target is 95 %."),
        warnings=[],
    )
    return replace(status, **changes)


def add(project, records, source="PubMed", sha256="0", problems=()):
    return project.records.add(
        records,
        list(range(1, len(records) + 1)),
        name=f"{source}.ris",
        source=source,
        format="ris",
        sha256=sha256,
        announced=len(records) + len(problems),
        problems=problems,
    )


@pytest.fixture
def project(tmp_path):
    """Twelve records of two sources, two duplicates, one removal: nine of them enter the first stage."""
    with Project.create(tmp_path / "peer.triage", PROTOCOL) as made:
        authors = ("Sono T", "Miyamoto Y", "Rowe M", "Sells D")
        add(
            made,
            [
                Record(
                    title=f"Title {i}",
                    authors=authors,
                    year=2000 + i,
                    journal="Psychiatric Services",
                    doi=f"10.1176/ps.{i}",
                    pmid=f"{i}",
                )
                for i in range(1, 9)
            ],
        )
        add(made, [Record(title=f"Title {i}") for i in range(9, 13)], "CINAHL", "1", [(7, "no title")])
        made.log.link([(9, 1, "same title"), (10, 2, "same title")], reviewer="a")
        made.log.remove([(12, "language", "German")], reviewer="a")
        made.rankings.save(
            "abstract",
            Ranking(
                0,
                {"name": "tiny", "C": 0.11, "scores": [{"view": "embedding", "weight": 1.0}]},
                np.array([1]),
                np.zeros(1),
                np.zeros(1),
            ),
        )
        commit_audit(made)
        origins = [Origin.RANKED, Origin.RANKED, Origin.AUDIT, Origin.AUDIT, Origin.AUDIT, Origin.RANKED]
        made.log.show("abstract", range(1, 7), origins, range(9, 3, -1), reviewer="a")
        made.log.decide(
            "abstract",
            [
                {"record_id": 1, "label": "include", "origin": Origin.RANKED},
                {"record_id": 2, "label": "maybe", "origin": Origin.RANKED},
                {"record_id": 3, "label": "exclude", "origin": Origin.AUDIT, "reason": "CARER"},
                {"record_id": 4, "label": "exclude", "origin": Origin.AUDIT, "reason": "PHYSICAL"},
                {"record_id": 5, "label": "exclude", "origin": Origin.AUDIT, "reason": "CARER"},
                {"record_id": 6, "label": "exclude", "origin": Origin.RANKED},
            ],
            reviewer="a",
        )
        yield made


STATUS = a_status(records=9, screened=6, relevant_found=2, maybe=1, unscreened=3)


def test_the_included_are_tagged(tmp_path):
    stages = '[[stages]]\nname = "abstract"\n[[stages]]\nname = "full-text"\n'
    with Project.create(tmp_path / "r.triage", f'tags = ["qualitative", "review"]\n{stages}') as project:
        add(project, [Record(title=f"Title {i}") for i in range(1, 6)])
        include = [{"record_id": i, "label": "include"} for i in range(1, 6)]
        project.log.decide("abstract", include, reviewer="a", tags={1: ["review"], 2: ["review"], 5: ["review"]})
        project.log.decide(
            "full-text",
            [*include[:3], {"record_id": 5, "label": "exclude"}],
            reviewer="a",
            tags={1: ["qualitative", "<b>"], 5: ["qualitative"]},
        )
        project.log.decide("full-text", [{"record_id": 3, "label": "include"}], reviewer="b", tags={3: ["review"]})
        # Record 1 by its last stage; 5 is excluded, 4 not screened.
        assert flow(project.snapshot()).tags == {"qualitative": 1, "review": 2, "<b>": 1}
        assert list(flow(project.snapshot()).tags) == ["qualitative", "review", "<b>"]
        page = Page(report.render(project.snapshot(), a_status(stage="full-text", records=5, screened=4, unscreened=1)))
        said = " ".join(page.text.split())
        assert "By tag Tag Included qualitative 1 review 2 <b> 1" in said
        assert "qualitative; <b>" in said and "Year Journal Tags Links" in said


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f"{data} "


# -- the curve --------------------------------------------------------------------------------


def a_history(y, origin=None, n_records=None):
    return History.of(list(range(len(y))), y, origin, n_records=n_records or len(y))


def polyline(svg):
    points = ET.fromstring(svg).find(SVG + "polyline").get("points").split()
    return [tuple(map(float, p.split(","))) for p in points]


def test_the_curve_climbs_with_every_find_and_leaves_out_unjudged_records():
    svg = discovery_curve(a_history([1, -1, 0, 1]), a_status(estimate=NoEstimate(), certificate=UNAUDITED))
    points = polyline(svg)
    up = [a[1] - b[1] for a, b in pairwise(points)]
    assert len(points) == 4  # the origin and three judged records
    assert up[0] == pytest.approx(up[2], abs=0.11) and up[0] > 10 and up[1] == 0
    assert "2 in 3 records" in texts(svg)


def test_a_long_curve_is_thinned_and_ends_where_it_should():
    y = (np.arange(100_000) % 5 == 0).astype(int)
    svg = discovery_curve(a_history(y), a_status(estimate=NoEstimate(), certificate=UNAUDITED))
    assert len(polyline(svg)) == 1001
    assert len(svg) < 40_000
    end = ET.fromstring(svg).find(SVG + "circle")
    assert polyline(svg)[-1] == (float(end.get("cx")), float(end.get("cy")))
    assert "20,000 in 100,000 records" in texts(svg)


def test_there_is_no_curve_before_the_first_label():
    assert discovery_curve(a_history([-1]), a_status()) == ""


def test_bounds_and_audit_draws_are_drawn_and_labels_kept_apart():
    history = a_history([1] * 20 + [0] * 40, [Origin.RANKED] * 48 + [Origin.AUDIT] * 12, 100)
    svg = discovery_curve(history, a_status())
    root = ET.fromstring(svg)
    lines = texts(svg)
    assert {
        "Certificate:",
        "at most 22 relevant in all",
        "Estimate (no guarantee):",
        "21 relevant in all",
        "Marks: 12 audit draws",
    } <= set(lines)
    assert len([p for p in root.iter(SVG + "path") if p.get("stroke-dasharray")]) == 2
    marks = next(p.get("d") for p in root.iter(SVG + "path") if "v7" in p.get("d"))
    assert marks.count("M") == 12
    margin = sorted(float(t.get("y")) for t in root.iter(SVG + "text") if float(t.get("x")) > 560)
    assert len(margin) == 7 and min(b - a for a, b in pairwise(margin)) >= 13


def test_a_bound_far_above_the_finds_does_not_flatten_the_curve():
    history = a_history([1] * 5 + [0] * 5, None, 1000)
    status = a_status(estimate=NoEstimate(), certificate=CertificateFacts("audit-e", None, 990, 1, False))
    svg = discovery_curve(history, status)
    assert "Certificate (off the scale):" in texts(svg)
    assert "at most 995 relevant in all" in texts(svg)
    undrawn = replace(status, certificate=replace(status.certificate, audit_draws=0))
    assert not any("Certificate" in line for line in texts(discovery_curve(history, undrawn)))
    assert 200 < polyline(svg)[0][1] - polyline(svg)[-1][1]


@pytest.mark.parametrize(
    "end, ticks, step", [(1, 6, 1), (6, 6, 1), (7, 6, 2), (110, 6, 20), (4649, 6, 1000), (0, 6, 1)]
)
def test_ticks_are_round_numbers(end, ticks, step):
    assert curve._nice_step(end, ticks) == step


# -- words ------------------------------------------------------------------------------------


def test_every_statement_carries_its_promise_and_no_more():
    said = [(s.promise, s.text) for s in words.statements(a_status())]
    assert said == [
        ("count", "60 of 100 records are screened at the stage “abstract”, and 20 of them are relevant."),
        (
            "certificate",
            "At least 89.6% of the records you would label relevant are found (95% confidence, "
            "holds whenever you look); at most 2 are missed among the 40 records not screened. "
            "This does not certify the target of 95%.",
        ),
        (
            "estimate",
            "Recall is estimated at 97% (95% interval 93.1% to 99.2%), of 21 relevant records in "
            "all. This is a point estimate (discovery curve) with no guarantee; it assumes that the "
            "curve goes on as it did.",
        ),
        (
            "estimate",
            "A certified stop is about 1 record away (8 times in 10 between 7 and 14), or 11 s "
            "at 11.2 seconds a record. This is a forecast with no guarantee.",
        ),
    ]


def test_nulls_say_that_nothing_is_known():
    said = words.statements(
        a_status(
            screened=1,
            records=2,
            unscreened=1,
            relevant_found=0,
            estimate=NoEstimate(),
            certificate=CertificateFacts("audit-e", None, 1, 1, False),
            workload=WorkloadFacts("the certificate", Percentiles(1, 1, 1), 1, None, None),
        )
    )
    assert [s.text for s in said] == [
        "1 of 2 records is screened at the stage “abstract”, and 0 of them are relevant.",
        "No relevant record is known yet, so recall is undefined; at most 1 is missed among the 1 record not "
        "screened (95% confidence, holds whenever you look).",
        "There is no estimate of recall yet.",
        "A certified stop is about 1 record away. This is a forecast with no guarantee.",
    ]


def test_without_audit_draws_a_bound_is_told_as_arithmetic():
    certificate = CertificateFacts("audit-e", 0.3, 40, 0, False)
    said = words.statements(a_status(certificate=certificate))
    assert said[1].text == (
        "At least 30% of the records you would label relevant are found (by arithmetic alone: no record has been drawn at "
        "random yet); at most 40 are missed among the 40 records not screened. This does not certify the target of 95%."
    )
    said = words.statements(a_status(certificate=replace(certificate, recall_lower=None)))
    assert said[1].text == (
        "No record has been drawn at random yet, and no relevant one is known, so nothing is certified."
    )


def test_the_headline_names_a_certificate_only_where_there_is_one():
    stop = VerdictFacts("cmh", True, False, "conditional", "")
    certified = replace(a_status().certificate, certified=True)
    assert words.headline(a_status(verdict=stop)) == "The stopping rule is met, without a certificate."
    assert (
        words.headline(a_status(verdict=stop, certificate=certified))
        == "Screening can stop, certified of the labels given."
    )
    assert (
        words.headline(a_status(verdict=replace(stop, certified=True)))
        == "Screening can stop, certified of the labels given."
    )
    assert words.headline(a_status()) == "Screening goes on."
    assert words.headline(a_status(unscreened=0, verdict=stop)) == "Every record is screened."


@pytest.mark.parametrize(
    "share, rounding, text",
    [
        (0.57, math.floor, "57%"),
        (0.9499, math.floor, "94.9%"),
        (0.9999, math.floor, "99.9%"),
        (0.9301, math.ceil, "93.1%"),
        (0.93, math.ceil, "93%"),
        (0.55 + 0.4, math.ceil, "95%"),
        (0.99999, round, "99.9%"),
        (1.0, round, "100%"),
        (0.00001, round, "0.1%"),
        (0.0, round, "0%"),
    ],
)
def test_bounds_are_never_rounded_to_the_stronger_claim(share, rounding, text):
    assert words.percent(share, rounding) == text


def test_the_methods_paragraph_of_a_review_under_way():
    history = a_history([1] * 20 + [0] * 40, [Origin.RANKED] * 59 + [Origin.AUDIT], 100)
    flow = Flow(
        {"PubMed": 104},
        {"PubMed": 1},
        {"date": {"PubMed": 3}},
        (StageFlow("abstract", 100, 40, 1, {"x": 40}, 18, 1), StageFlow("full-text", 19, 19, 0, {}, 0, 0)),
    )
    model = {"preset": "tiny", "C": 0.11}
    text = words.methods_text(parse(PROTOCOL), flow, history, a_status(maybe=1), model)
    for said in (
        "Screening is being done with triage",
        "104 records were imported from 1 source: PubMed (searched on 2010-08-31, n = 104).",
        "1 duplicate was linked to the record kept, which left 103 records.",
        "3 records were removed before screening (3 by the date limit), which left 100 records.",
        "60 of 100 records have been screened and 20 counted as relevant (1 as maybe and 1 in conflict among them).",
        "59 of them were shown in the order of a ranking by the protocol's criteria",
        "The model was the preset “tiny” (C = 0.11).",
        "1 was drawn at random",
        "The stopping rule is “audit-e”",
        "at least 89.6% of the records that the reviewers would label relevant were found, and at most 2 "
        "were missed among the 40 records not screened (95% confidence, a bound valid at any time",
        "The target was not certified at the time of writing.",
        "The point estimate of recall (discovery curve), which carries no guarantee, was 97%.",
    ):
        assert said in text
    assert "Reimers" not in text and "full-text" not in text


def test_the_methods_paragraph_of_a_finished_review():
    status = a_status(
        stage="quality", records=138, screened=138, unscreened=0, relevant_found=105, estimate=NoEstimate()
    )
    protocol = Protocol(
        stages=parse('[[stages]]\nname="abstract"\n[[stages]]\nname="quality"\n[[stages]]\nname="full-text"').stages
    )
    history = a_history([1] * 105 + [0] * 33, [Origin.CHOSEN] * 138)
    text = words.methods_text(protocol, PEER_SUPPORT, history, status, None)
    for said in (
        "Screening was done with triage",
        "138 of 138 records were screened",
        "The stopping rule was",
        "Every record was screened, so no recall had to be estimated.",
        "At the stage “abstract”, 4,649 of 4,649 records were screened: 4,511 excluded and 138 included.",
        "At the stage “full-text”, 105 of 105 records were screened: 54 excluded and 51 included.",
        "6,257 records were imported from 5 sources: PubMed (n = 2,103), Medline (n = 1,500)",
    ):
        assert said in text
    assert "Cormack" not in text and "certif" not in text.replace("certify", "").split("stopping rule")[0]


def test_a_model_with_many_parameters_is_listed_in_the_report_only():
    model = {
        "name": "default",
        "criteria": {"whole": 1.0},
        "scores": [{"view": "embedding", "C": 0.3}],
        **{f"p{i}": i for i in range(20)},
    }
    assert words.flat_parameters(model)[:3] == [
        ("name", "default"),
        ("criteria.whole", "1.0"),
        ("scores[1]", "view embedding, C 0.3"),
    ]
    said = words._said_of_model(model)
    assert said == (
        "The model was the preset “default”, whose 22 parameters are listed in the report, with "
        "sentence embeddings (Reimers & Gurevych 2019) among its features."
    )


def test_the_methods_paragraph_counts_the_parameters_that_the_report_lists(project):
    model = {"name": "default", **{f"p{i}": i for i in range(19)}}
    project.rankings.save("abstract", Ranking(0, model, np.array([1]), np.zeros(1), np.zeros(1)))
    page = report.render(project.snapshot(), STATUS)
    assert "“default”, whose 19 parameters are listed in the report" in page
    listed = page.split("Ranking model “default”: 19 parameters</summary>")[1].split("</table>")[0]
    assert listed.count("<tr><td>") == 19 and "<code>name</code>" not in listed


@pytest.mark.parametrize(
    "doi, link",
    [
        ("10.1176/appi.ps.1", "https://doi.org/10.1176/appi.ps.1"),
        ("10.1002/(sici)1097-0258(19980815)17:15<1623::aid>3.0.co;2-s", ""),
        ("10.1000/a#b?c%", "https://doi.org/10.1000/a%23b%3Fc%25"),
        ("javascript:alert(1)", ""),
        ('10.1000/"onclick="x', ""),
        ("10.1000/a b", ""),
        ("", ""),
    ],
)
def test_only_a_doi_is_linked(doi, link):
    assert report.doi_link(doi) == link


@pytest.mark.parametrize(
    "pmid, link", [("123", "https://pubmed.ncbi.nlm.nih.gov/123/"), ("0", ""), ("1/..", ""), ("", "")]
)
def test_only_a_pubmed_identifier_is_linked(pmid, link):
    assert report.pmid_link(pmid) == link


# -- the page ---------------------------------------------------------------------------------


def test_the_page_holds_every_part(project):
    page = Page(report.render(project.snapshot(), STATUS))
    text = " ".join(page.text.split())
    for part in (
        "Records identified (n = 12)",
        "Duplicates removed (n = 2)",
        "Removed by the language limit (n = 1)",
        "Not yet screened (n = 3)",
        "Stage “abstract”: 4 records excluded",
        "Does it help?",
        "peer AND support",
        "Records that passed the stage “abstract” 2 records; the stages after it have not begun.",
        "1 problem in CINAHL.ris",
        "line 7: no title",
        "Version 1, in force from",
        "The model was the preset “tiny”",
        "Reimers N, Gurevych I.",
        "Cormack GV, Grossman MR.",
        "Ville J.",
        "Waudby-Smith I",
        "BMJ 2021;372:n71",
        "Marks: 3 audit draws",
        "2 in 6 records",
    ):
        assert part in text
    for row in (
        r"CARER Caregivers\. 2 50\.0% .*PHYSICAL Physical disease\. 1 25\.0% no reason given – 1 25\.0%",
        r"Title 2 maybe Sono T; Miyamoto Y; Rowe M; et al\. 2002 Psychiatric Services DOI · PubMed",
        r"CINAHL\.ris CINAHL ris \d{4}-\d\d-\d\d 5 4 1",
        r"PubMed 8 0 0 8 CINAHL 4 2 1 1",
    ):
        assert re.search(row, text)
    links = [a["href"] for tag, a in page.elements if tag == "a"]
    assert links[:2] == ["https://doi.org/10.1176/ps.1", "https://pubmed.ncbi.nlm.nih.gov/1/"]


def test_the_page_needs_nothing_but_itself(project):
    html = report.render(project.snapshot(), STATUS)
    page = Page(html)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    metas = {a["http-equiv"]: a["content"] for tag, a in page.elements if "http-equiv" in a}
    policy = metas["Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        # Inline styles and handlers would break the policy; an address may only stand in a link.
        assert not any(name in ("style", "src") or name.startswith("on") for name in attributes)
        assert tag == "a" or "href" not in attributes
    assert "url(" not in style and "@import" not in style


def test_hostile_text_stays_text(tmp_path):
    quoted = json.dumps(HOSTILE)
    protocol = f"""
title = {quoted}
question = {quoted}
[[sources]]
name = {quoted}
search = {quoted}
[[include]]
text = {quoted}
[[exclude]]
code = {quoted}
text = {quoted}
[[stages]]
name = {quoted}
"""
    with Project.create(tmp_path / "h.triage", protocol) as project:
        add(
            project,
            [
                Record(
                    title=HOSTILE + "\x00\u202e",
                    authors=(HOSTILE, "\ud800"),
                    journal=HOSTILE,
                    year=2000,
                    pmid=HOSTILE,
                    doi='10.1000/"><script>alert(1)</script>',
                )
            ]
            * 3,
            source=HOSTILE,
            problems=[(1, HOSTILE)],
        )
        project.log.remove([(3, HOSTILE, HOSTILE)], reviewer=HOSTILE)
        project.rankings.save(
            HOSTILE, Ranking(0, {"name": HOSTILE, HOSTILE: HOSTILE}, np.array([1]), np.zeros(1), np.zeros(1))
        )
        project.log.decide(
            HOSTILE,
            [
                {"record_id": 1, "label": "include", "origin": Origin.RANKED},
                {"record_id": 2, "label": "exclude", "reason": HOSTILE, "note": HOSTILE},
            ],
            reviewer=HOSTILE,
        )
        status = a_status(
            stage=HOSTILE,
            records=2,
            screened=2,
            unscreened=0,
            relevant_found=1,
            verdict=VerdictFacts("cmh", True, False, HOSTILE, HOSTILE),
            warnings=[HOSTILE],
            rules=[RuleFacts(HOSTILE, True, HOSTILE, HOSTILE)],
        )
        html = report.render(project.snapshot(), status, HOSTILE)
        report.write_report(project.snapshot(), tmp_path / "report.html", status)
        report.write_report(project.snapshot(), tmp_path / "flow.svg", status)
    page = Page(html)
    assert not {"script"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert page.text.count(HOSTILE) > 25
    assert not re.search("[\x00\u202e\ud800]", html)
    assert [a["href"] for tag, a in page.elements if tag == "a"] == []
    figure = ET.fromstring((tmp_path / "flow.svg").read_bytes())
    assert not list(figure.iter(SVG + "script"))
    drawn = texts((tmp_path / "flow.svg").read_bytes())
    assert HOSTILE in drawn and "".join(drawn).count("<script>alert(1)</script>") >= 4


def test_a_notice_comes_first(project):
    told = "The decisions are simulated from known labels."
    html = report.render(project.snapshot(), STATUS, told)
    assert 0 < html.index(told) < html.index("<h1")
    assert 'class="notice"' not in report.render(project.snapshot(), STATUS)


def test_a_changed_protocol_is_shown_with_what_changed(tmp_path):
    path = tmp_path / "protocol.toml"
    path.write_text(PROTOCOL)
    with Project.create(tmp_path / "a.triage", PROTOCOL, path) as project:
        add(project, [Record(title="a"), Record(title="b")])
        project.log.decide("abstract", [{"record_id": 1, "label": "include"}], reviewer="a")
        path.write_text(PROTOCOL.replace("Does it help?", "Whom does it help?"))
        assert project.refresh_protocol()
        status = a_status(records=2, screened=1, unscreened=1, relevant_found=1)
        text = Page(report.render(project.snapshot(), status)).text
    assert "after 0 decisions" in text
    second = text[text.index("Version 2") :]
    assert "after 1 decision " in second
    assert '-question = "Does it help?"\n+question = "Whom does it help?"' in second


def test_a_new_review_has_a_report_too(tmp_path):
    with Project.create(tmp_path / "new.triage", "") as project:
        text = " ".join(Page(report.render(project.snapshot(), statuses.status(project.snapshot()))).text.split())
    for part in (
        "Records identified (n = 0)",
        "No file is imported yet.",
        "No record is included yet.",
        "there is no curve",
        "0 records were imported from 0 sources.",
    ):
        assert part in text
    assert "Every record" not in text


def test_the_last_stage_begun_lists_its_records(project):
    project.log.decide(
        "full-text", [{"record_id": 2, "label": "include"}, {"record_id": 1, "label": "exclude"}], reviewer="a"
    )
    text = " ".join(Page(report.render(project.snapshot(), STATUS)).text.split())
    assert "Included records 1 record at the stage “full-text”." in text
    assert "Screening was done" in text


# -- files ------------------------------------------------------------------------------------


def test_the_ending_decides_what_is_written(project, tmp_path):
    report.write_report(project.snapshot(), tmp_path / "r.html", STATUS, notice="Simulated.")
    for name in ("f.svg", "f.png", "F.PDF"):
        report.write_report(project.snapshot(), tmp_path / name, STATUS)
    assert "Simulated." in (tmp_path / "r.html").read_text("utf-8")
    figure = ET.fromstring((tmp_path / "f.svg").read_bytes())
    assert figure.tag == SVG + "svg" and figure.find(SVG + "rect").get("fill") == "#fff"
    assert (figure.get("width"), figure.get("color")) == ("784", "#000")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "F.PDF").read_bytes().startswith(b"%PDF")
    assert {p.name for p in tmp_path.iterdir()} == {"peer.triage", "r.html", "f.svg", "f.png", "F.PDF"}


def test_the_figure_of_page_and_file_leaves_out_what_is_hidden(project, tmp_path):
    for name in ("r.html", "f.svg"):
        report.write_report(project.snapshot(), tmp_path / name, STATUS, hide=["sources", "full-text"])
        shown = (tmp_path / name).read_text("utf-8")
        assert "Records for screening: abstract, full-text" in shown
        assert "<text" in shown and ">CINAHL</text>" not in shown
    with pytest.raises(InputError, match="no 'reason' to hide"):
        report.write_report(project.snapshot(), tmp_path / "g.html", STATUS, hide=["reason"])
    with pytest.raises(InputError, match="leave --hide out"):
        report.write_report(project.snapshot(), tmp_path / "g.csv", STATUS, hide=["reasons"])
    assert not (tmp_path / "g.html").exists() and not (tmp_path / "g.csv").exists()


def test_the_table_for_prisma2020_waits_for_the_last_decision(project, tmp_path):
    with pytest.raises(InputError, match="'abstract' 3 records are not screened"):
        report.write_report(project.snapshot(), tmp_path / "prisma.csv", STATUS)
    project.log.decide("abstract", [{"record_id": i, "label": "exclude"} for i in (7, 8, 11)], reviewer="a")
    project.log.decide("full-text", [{"record_id": i, "label": "include"} for i in (1, 2)], reviewer="a")
    report.write_report(project.snapshot(), tmp_path / "prisma.csv", STATUS)
    lines = (tmp_path / "prisma.csv").read_text("utf-8").splitlines()
    assert lines[0] == "data,node,box,description,boxtext,tooltips,url,n" and len(lines) == 33
    ends = {line.split(",")[0]: line.rsplit(",", 1)[1] for line in lines}
    assert (
        ends["database_results"],
        ends["duplicates"],
        ends["records_screened"],
        ends["records_excluded"],
        ends["new_studies"],
    ) == ("12", "2", "9", "7", "2")


@pytest.mark.parametrize(
    "name, why",
    [
        ("there.html", "exists already"),
        ("no/where.html", "folder .* does not exist"),
        ("report.docx", r"ends in \.html; just the flow figure, in \.svg, \.png or \.pdf.*PRISMA2020 in \.csv"),
    ],
)
def test_a_path_that_cannot_be_taken_is_refused(project, tmp_path, name, why):
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(InputError, match=why):
        report.write_report(project.snapshot(), tmp_path / name, STATUS)
    assert (tmp_path / "there.html").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"peer.triage", "there.html"}
