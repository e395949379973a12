import re
import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from triage.errors import InputError
from triage.protocol.free_text import criteria_from_text
from triage.protocol.languages import language_name
from triage.protocol.model import Criterion, Limits, Protocol, Source, Stage, Stopping, WordList
from triage.protocol.parsing import load, parse
from triage.protocol.template import template
from triage.stopping_rules import RULES

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

FULL = '''
title = "Peer support"
question = "Does it help?"
tags = ["review", "qualitative"]
model = "fast"
reviewers_per_record = 2

[[sources]]
name = "PubMed"
search = "peer AND support"
searched_on = 2010-08-31
[[sources]]
name = "CINAHL"
searched_on = "August 2010"

[limits]
languages = ["eng", "French", "en"]
published_from = "1980-01"
published_to = 2010
exclude_types = ["editorial"]

[[include]]
code = "PEER"
text = """
Support by adults
for adults.
"""
[[include]]
text = "Face to face."

[[exclude]]
code = "CHILD"
text = "Children."
[[exclude]]
code = "ONLINE"
text = "Online only."

[[stages]]
name = "abstract"
[[stages]]
name = "full-text"
reasons = ["CHILD", { code = "DATA", text = "No original data." }]

[stopping]
rule = "fixed-audit"
target = 0.9
confidence = 0.8
audit_size = 300
'''


def test_every_key():
    child, online = Criterion("CHILD", "Children."), Criterion("ONLINE", "Online only.")
    assert parse(FULL) == Protocol(
        title="Peer support",
        question="Does it help?",
        sources=(Source("PubMed", "peer AND support", "2010-08-31"), Source("CINAHL", "", "August 2010")),
        limits=Limits(("English", "French"), date(1980, 1, 1), date(2010, 12, 31), ("editorial",)),
        include=(Criterion("PEER", "Support by adults for adults."), Criterion("I2", "Face to face.")),
        exclude=(child, online),
        stages=(
            Stage("abstract", (child, online)),
            Stage("full-text", (child, Criterion("DATA", "No original data."))),
        ),
        tags=("review", "qualitative"),
        stopping=Stopping("fixed-audit", 0.9, 0.8, 300),
        model="fast",
        reviewers_per_record=2,
    )


def test_machines_are_hidden_until_a_reviewer_has_decided_unless_the_protocol_says_otherwise():
    assert parse("").machines.blind
    assert not parse("[machines]\nblind = false").machines.blind
    assert parse("").machines.rank and not parse("[machines]\nrank = false").machines.rank


def test_word_lists_have_the_usual_colour_unless_they_name_one():
    text = "".join(
        f"[[highlights]]\nname = '{name}'\nwords = ['peer  support', 'random*']\n" for name in ("Include", "b")
    )
    words = ("peer support", "random*")
    assert parse(text).highlights == (WordList("Include", "blue", words), WordList("b", "violet", words))


def test_nothing_at_all_is_a_protocol():
    assert parse("") == Protocol()
    assert Protocol().stages == (Stage("abstract"),)
    assert Protocol().stopping == Stopping("audit-e", 0.95, 0.95, None)


def test_without_stages_there_is_one_with_the_exclusion_criteria():
    protocol = parse('[[exclude]]\ncode = "A"\ntext = "Animals."')
    assert protocol.stages == (Stage("abstract", (Criterion("A", "Animals."),)),)


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        ("1980", date(1980, 1, 1), date(1980, 12, 31)),
        ('"1980"', date(1980, 1, 1), date(1980, 12, 31)),
        ('"1980-02"', date(1980, 2, 1), date(1980, 2, 29)),
        ('"1981-12"', date(1981, 12, 1), date(1981, 12, 31)),
        ('"1980-01-31"', date(1980, 1, 31), date(1980, 1, 31)),
        ("1980-01-31", date(1980, 1, 31), date(1980, 1, 31)),
    ],
)
def test_dates(written, first, last):
    limits = parse(f"[limits]\npublished_from = {written}\npublished_to = {written}").limits
    assert (limits.published_from, limits.published_to) == (first, last)


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    size = "audit_size = 10" if rule == "fixed-audit" else ""
    assert parse(f'[stopping]\nrule = "{rule}"\n{size}').stopping.rule == rule


ONE = '[[exclude]]\ncode = "A"\ntext = "Animals."\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 'x'\nquestion x", "at line 2, column"),
        ('title = "x', "is not readable as TOML"),
        ("title = 3", "title must be a text in quotes"),
        ("titel = 'x'", "the key titel is unknown (did you mean title?)"),
        ("colour = 'x'", "the key colour is unknown; the keys here are title, question"),
        ("[limits]\nlanguage = ['English']", "limits.language is unknown (did you mean languages?)"),
        ("[limits]\nlanguages = 'English'", 'limits.languages must be a list of texts, such as ["English"]'),
        ("[limits]\nlanguages = ['Englisch']", "'Englisch' is neither (did you mean English?)"),
        ("[limits]\nlanguages = ['qq']", "limits.languages must be English names or ISO 639 codes"),
        ("[limits]\npublished_from = '1980-13'", "limits.published_from must be a day, a month or a year"),
        ("[limits]\npublished_to = '2010-02-30'", "limits.published_to must be a day, a month or a year"),
        ("[limits]\npublished_to = true", "limits.published_to must be a day, a month or a year"),
        (
            "[limits]\npublished_from = 2011\npublished_to = 2010",
            "limits.published_to must be a day not before published_from (2011-01-01)",
        ),
        ("[limits]\nexclude_types = ['']", "limits.exclude_types must be a list of texts"),
        ("limits = 3", "limits must be a table that begins with [limits]"),
        ("[[limits]]\nlanguages = []", "limits must be a table that begins with [limits]"),
        ("[sources]\nname = 'PubMed'", "sources must be entries that each begin with [[sources]]"),
        ("[[sources]]\nsearch = 'x'", "sources[1].name must be a text in quotes"),
        ("[[sources]]\nname = 'a'\n[[sources]]\nname = 'b'\nfound = 3", "the key sources[2].found is unknown"),
        ("[[include]]\ncode = 'A'", "include[1].text must be a text in quotes"),
        (ONE + ONE, "exclude must be a code of its own for each entry ('A' appears twice)"),
        (ONE + ONE.replace('"A"', '"a"'), "('a' appears twice)"),
        (ONE + ONE.replace("exclude", "include"), "'A' appears twice"),
        (ONE + "[[stages]]\nname = 'x'\nreasons = ['Z']", "stages[1].reasons must be codes of [[exclude]] (A)"),
        ("[[stages]]\nname = 'x'\nreasons = ['Z']", "(there are none)"),
        (ONE + "[[stages]]\nname = 'x'\nreasons = ['a']", "'a' is neither (did you mean A?)"),
        (ONE + "[[stages]]\nname = 'x'\nreasons = 'A'", "stages[1].reasons must be a list of exclusion codes"),
        (ONE + "[[stages]]\nname = 'x'\nreasons = [3]", "stages[1].reasons must be a list of exclusion codes"),
        (ONE + "[[stages]]\nname = 'x'\nreasons = ['A', 'A']", "('A' appears twice)"),
        (
            ONE + "[[stages]]\nname = 'x'\nreasons = [{ code = 'A', text = 'Adults.' }]",
            "one text to a code ('A' has another one elsewhere)",
        ),
        ("[[stages]]\nname = 'x'\nreasons = [{ code = 'A' }]", "stages[1].reasons.text must be a text in quotes"),
        (
            "[[stages]]\nname = 'x'\n[[stages]]\nname = 'x'",
            "stages[2].name must be a name that no other stage has ('x' is taken)",
        ),
        ("[[stages]]\nname = ' '", "stages[1].name must be a text in quotes"),
        (
            "[[stages]]\nname = 'x'\ntags = ['y']",
            "stages[1].tags is unknown; tags is of the whole protocol, so move it above the first line",
        ),
        ("tags = 'review'", "tags must be a list of texts"),
        ("tags = ['review', 'Review']", "tags must be a list of different texts without"),
        ("tags = ['review; trial']", "tags must be a list of different texts without"),
        ("[stopping]\nrule = 'audit'", f"stopping.rule must be one of {', '.join(RULES)}"),
        ("[stopping]\ntarget = 1", "stopping.target must be a number between 0 and 1"),
        ("[stopping]\ntarget = 0", "stopping.target must be a number between 0 and 1"),
        ("[stopping]\ntarget = 95", "stopping.target must be a number between 0 and 1"),
        ("[stopping]\ntarget = nan", "stopping.target must be a number between 0 and 1"),
        ("[stopping]\ntarget = '0.95'", "stopping.target must be a number between 0 and 1"),
        ("[stopping]\nconfidence = true", "stopping.confidence must be a number between 0 and 1"),
        ("[stopping]\nrule = 'fixed-audit'", "stopping.audit_size must be the number of audit draws"),
        ("[stopping]\naudit_size = 300", "stopping.audit_size must be left out, as audit-e has none"),
        ("[stopping]\nrule = 'fixed-audit'\naudit_size = 0", "stopping.audit_size must be a whole number from 1"),
        ('learn_from = "both"', "learn_from must be one of stage, final"),
        ("[machines]\nblind = 'no'", "machines.blind must be true or false, without quotes"),
        ("[machines]\nhidden = true", "the key machines.hidden is unknown; the keys here are blind, rank"),
        ("[highlights]\nname = 'a'", "highlights must be entries that each begin with [[highlights]]"),
        ("[[highlights]]\nwords = ['a']", "highlights[1].name must be a text in quotes"),
        ("[[highlights]]\nname = 'a'\nwords = 'b'", "highlights[1].words must be a list of texts"),
        ("[[highlights]]\nname = 'a'\nwords = ['*']", "highlights[1].words must be a list of words, phrases or stems"),
        ("[[highlights]]\nname = 'a'\ncolour = 'mauve'", "highlights[1].colour must be one of blue, orange, violet"),
        ("[[highlights]]\nname = 'a'\ncolor = 'blue'", "highlights[1].color is unknown (did you mean colour?)"),
        ("[[highlights]]\nname = 'a'\n[[highlights]]\nname = 'A'", "highlights[2].name must be a name that no other"),
        ("reviewers_per_record = 3", "reviewers_per_record must be 1 or 2"),
        ("reviewers_per_record = true", "reviewers_per_record must be a whole number from 1"),
        ("reviewers_per_record = 1.0", "reviewers_per_record must be a whole number from 1"),
    ],
)
def test_what_is_wrong_is_named(text, said):
    with pytest.raises(InputError) as caught:
        parse(text, "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml")
    assert said in message
    assert "\n" not in message and message.endswith(".")


@given(st.text(max_size=200))
def test_any_text_is_a_protocol_or_bad_input(text):
    with suppress(InputError):
        assert isinstance(parse(text), Protocol)


def test_load(tmp_path):
    path = tmp_path / "protocol.toml"
    path.write_bytes("\ufefftitle = 'Größe'".encode())
    assert load(path).title == "Größe"
    path.write_bytes("title = 'Größe'".encode("latin-1"))
    with pytest.raises(InputError, match="protocol.toml is not UTF-8 text"):
        load(path)
    with pytest.raises(InputError, match="none.toml cannot be read"):
        load(tmp_path / "none.toml")


# -- the template -----------------------------------------------------------------------------


def test_the_template_says_nothing():
    assert all(not line or line.startswith("#") for line in template().splitlines())
    assert parse(template()) == Protocol()


def test_the_template_with_its_signs_taken_off_says_all():
    """What a reviewer uncomments must work, each key where it stands."""
    filled = re.sub(r"^# ?(?!#)", "", re.sub(r"^##.*\n", "", template(), flags=re.M), flags=re.M)
    protocol = parse(filled)
    nothing = Protocol()
    silent = {
        "model",
        "learn_from",
        "reviewers_per_record",
        "stopping",
        "machines",
    }  # shown with the values they have anyway
    for name in Protocol.__dataclass_fields__:
        assert (getattr(protocol, name) == getattr(nothing, name)) == (name in silent), name
    assert [s.name for s in protocol.stages] == ["abstract", "full-text"]
    assert protocol.exclude[1].text == "Children and adolescents; support at school."


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (template(), "is still an empty template, with neither a question nor an inclusion criterion"),
        ("", "is still an empty template, with neither"),
        ('title = "Peer support"\n[stopping]\ntarget = 0.9\n', "has neither a question nor an inclusion criterion"),
        ('question = " ... "\n', "has neither"),
        ('[[include]]\ncode = "P"\ntext = "?"\n', "has neither"),
        ('[[exclude]]\ncode = "C"\ntext = "Children."\n', "has exclusion criteria, but neither"),
        ('question = "Does it help?"\n', ""),
        (template() + '[[include]]\ncode = "P"\ntext = "Peer support."\n', ""),
        ('question = "?"\n[[include]]\ncode = "P"\ntext = "仲間"\n', ""),
        # What the template shows as an example may be somebody's own question.
        ('title = "Peer support in mental health"\nquestion = "What forms of support have been studied?"\n', ""),
    ],
)
def test_a_protocol_that_gives_the_ranking_nothing_to_go_by_says_so(toml, said):
    protocol = parse(toml)
    for learned in (False, True):
        sentence = protocol.nothing_to_rank_by("a folder/p.toml", learned)
        assert sentence.startswith(f"a folder/p.toml {said}") if said else sentence == ""
        assert not said or ("order of import" in sentence) is not learned
        assert not said or sentence.endswith(": write the question and the criteria into that file.")


# -- what ships -------------------------------------------------------------------------------


def test_the_peer_support_protocol():
    protocol = load(ROOT / "data" / "peer_support" / "protocol.toml")
    assert [s.name for s in protocol.sources] == ["PubMed", "Medline", "CINAHL", "PsycINFO", "PsycARTICLES"]
    assert all("psychiatr*" in s.search and "January 1980 to August 2010" in s.search for s in protocol.sources)
    # The dates were part of the search: filter applies the language alone.
    assert protocol.limits == Limits(languages=("English",))
    assert [(s.name, len(s.reasons)) for s in protocol.stages] == [("abstract", 10), ("quality", 5), ("full-text", 4)]
    assert {"review", "qualitative"} <= set(protocol.tags)
    assert protocol.stopping == Stopping()


def test_the_demonstration_protocol():
    protocol = load(ROOT / "data" / "demo" / "protocol.toml")
    assert {c.code for c in protocol.include} == {"TITLE", "EXPOSURE", "MAMMALS"}
    assert protocol.limits.languages == ("English",)
    assert set(protocol.exclude) < set(protocol.stages[0].reasons)


# -- languages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("en", "English"),
        ("ENG", "English"),
        (" english ", "English"),
        ("fre", "French"),
        ("fra", "French"),
        ("ger", "German"),
        ("chi", "Chinese"),
        ("zho", "Chinese"),
        ("Mandarin", "Chinese"),
        ("scr", "Croatian"),
        ("Scottish  Gaelic", "Scottish Gaelic"),
        ("Norwegian Bokmål", "Norwegian Bokmal"),
        ("Castilian", "Spanish"),
        ("Klingon", None),
        ("", None),
        ("xx", None),
    ],
)
def test_language_names(text, name):
    assert language_name(text) == name


# -- criteria from free text ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "include", "exclude"),
    [
        ("Include trials of yoga. Exclude children.", ["Include trials of yoga."], ["Exclude children."]),
        (
            "Inclusion criteria\n- adults\n- trials\n\nExclusion criteria (must not be)\n* animals\n1. reviews",
            ["adults", "trials"],
            ["animals", "reviews"],
        ),
        (
            "Trials were excluded if they had:\n1) no control group\n2) a drug\nYoga was studied by all.",
            ["Yoga was studied by all."],
            ["no control group", "a drug"],
        ),
        (
            "We excluded pathogens; poisons; and housing conditions. We did include diet.",
            ["We did include diet."],
            ["We excluded pathogens", "poisons", "housing conditions."],
        ),
        (
            "Exclusion criteria were: 1) no data; 2) rodents (e.g. Mice), 3) reviews. Sex was not an exclusion criterion.",
            ["Sex was not an exclusion criterion."],
            ["no data", "rodents (e.g. Mice)", "reviews."],
        ),
        (
            "Articles were included if (1) in English, (2) on adults (aged 18 to 65) in care, and (3) on yoga",
            ["Articles were included if", "in English", "on adults (aged 18 to 65) in care", "on yoga"],
            [],
        ),
        (
            "We excluded trials in which an included drug was combined with another.",
            [],
            ["We excluded trials in which an included drug was combined with another."],
        ),
        (
            "Studies that only included infants were also excluded.",
            [],
            ["Studies that only included infants were also excluded."],
        ),
        (
            "We included trials of yoga and excluded case reports.",
            ["We included trials of yoga"],
            ["excluded case reports."],
        ),
        (
            "Studies of adults with long-standing pain of the lower back or\nof the neck\nStudies in care homes",
            ["Studies of adults with long-standing pain of the lower back or of the neck", "Studies in care homes"],
            [],
        ),
        (
            "Population. Adults with back pain. Inclusion and exclusion criteria were agreed.",
            ["Adults with back pain."],
            [],
        ),
        ("## Exclude:\n- E. coli in calves", [], ["E. coli in calves"]),
        (
            "We did not include letters. Men were not excluded.",
            ["Men were not excluded."],
            ["We did not include letters."],
        ),
        ("", [], []),
        ("\n \n---\n", [], []),
    ],
)
def test_criteria_from_text(text, include, exclude):
    assert criteria_from_text(text) == (tuple(include), tuple(exclude))


@pytest.mark.parametrize(
    ("name", "n_include", "n_exclude", "excluded"),
    [
        ("menon_2022", 7, 7, "housing conditions"),
        ("jeyaraman_2020", 4, 3, "Review articles and in-vitro studies involving stem cell therapy"),
        ("bannach_brown_2019", 2, 1, "Exclude human studies, reviews and in vitro studies."),
        ("meijboom_2021", 7, 1, "Congress abstracts, reviews, editorials, and other opinion articles were excluded."),
        ("donners_2021", 4, 0, None),
    ],
)
def test_published_criteria(name, n_include, n_exclude, excluded):
    path = SHARED / "data" / "criteria" / f"{name}.txt"
    if not path.is_file():
        pytest.skip("shared/data/criteria is not here")
    include, exclude = criteria_from_text(path.read_text(encoding="utf-8"))
    assert (len(include), len(exclude)) == (n_include, n_exclude)
    assert excluded is None or excluded in exclude


def test_import_is_light():
    """The module stands on the standard library, so that `triage --help` stays fast."""
    code = (
        "import sys, triage.protocol; sys.exit(any(m in sys.modules for m in ('numpy', 'sklearn', 'pandas', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
