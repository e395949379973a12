"""What two titles say differently: nothing but spelling, some words, or the opposite.

Two papers of one study often have titles a letter, a prefix or a word apart: on maternal and on paternal smoking,
on hypo- and hyperthyroidism, with and without a treatment. No measure of likeness tells them from a title mistyped,
so the words that differ are looked at one by one. Only what a typist does counts as typing: a letter too many, too few
or in the place of its neighbour. A letter exchanged for another does not, as it makes a word of another.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product

from rapidfuzz.distance import OSA, Levenshtein

from .forms import SMALL_WORDS


class Difference(enum.IntEnum):
    """What two titles say differently, the more the larger."""

    SPELLING = 0  # nothing: spelt otherwise, or mistyped
    WORDS = 1  # words are left out, added, moved or exchanged
    MEANING = 2  # a word is exchanged for its opposite, or for another of the same list


# Beginnings of words of which each makes another word of the same rest: hypothyroidism, hyperthyroidism.
_PREFIXES = (
    ("hypo", "hyper", "normo", "eu", "dys", ""),
    (
        "pre",
        "post",
        "peri",
        "ante",
        "intra",
        "inter",
        "extra",
        "trans",
        "sub",
        "supra",
        "infra",
        "para",
        "epi",
        "retro",
    ),
    ("intra", "inter", "extra", "supra", "infra", "sub", "epi", "endo", "exo", "ecto", "meso", "peri", "para", "trans"),
    ("micro", "macro", "meso", "nano", "mega", "milli", "pico", "normo", "nor"),
    ("mono", "bi", "di", "tri", "tetra", "penta", "hexa", "hepta", "octa", "poly", "oligo", "multi", "uni", "single"),
    ("mono", "bi", "di", "two", "tri", "three", "four", "multi", "pauci", "dual", "double", "triple", "uni", "one"),
    ("homo", "hetero", "iso", "allo", "auto", "xeno"),
    ("mater", "pater", "frater", "soror"),
    ("in", "out", "ex", "on", "off", "up", "down"),
    ("under", "over"),
    ("fore", "hind", "mid"),
    ("ab", "ad"),
    ("af", "ef"),
    ("anterior", "posterior", "lateral", "medial"),
    ("brady", "tachy"),
    ("gluco", "galacto", "fructo", "mineralo"),
    ("ortho", "meta", "para"),
    ("neo", "paleo"),
    ("pro", "anti", "contra"),
    ("leuko", "erythro", "thrombo", "granulo", "lympho", "mono", "pan"),
    ("with", "without"),
    ("fe", ""),
    ("wo", ""),
    *(
        (p, "")
        for p in "non un in im il ir a an anti dis de re co self pre post counter mis sub super semi pseudo".split()
    ),
)
# Ends of words that do the same: prenatal thrombocytosis, thrombocytopenia; sulfate, sulfite, sulfide.
_SUFFIXES = (
    ("penia", "cytosis", "sis", "philia", "emia", "uria"),
    ("ate", "ite", "ide", "ane", "ene", "yne", "ol", "one", "yl", "in", "ine", "al", "ic", "ous"),
    ("ectomy", "otomy", "ostomy", "oplasty", "oscopy", "ography", "opathy", "itis", "oma", "osis", "algia"),
    ("genic", "static", "lytic", "cidal"),
    ("less", "ful", ""),
    ("phobic", "philic"),
    ("ward", "wards", ""),
    ("er", "ee"),
    ("mab", "nib", "cept"),
)
# Pairs of these, with the least number of letters that follow them: short ones are the beginnings of many words.
_EXCHANGED_PREFIXES = {
    (p, q): 4 if "" in (p, q) and len(p + q) < 3 else 2
    for prefixes in _PREFIXES
    for p, q in product(prefixes, prefixes)
    if p != q
}
_LONGEST_PREFIX = max(len(p) for pair in _EXCHANGED_PREFIXES for p in pair)
_EXCHANGED_SUFFIXES = frozenset(
    (p, q)
    for suffixes in _SUFFIXES
    for p, q in product(suffixes, suffixes)
    if p != q and not ("" in (p, q) and len(p + q) < 3)
)
# Words of which a title that has one of a list is about something else than a title that has another.
_LISTS = tuple(
    frozenset(words.split())
    for words in (
        "with without", "men women", "man woman", "male female", "males females", "boys girls", "boy girl",
        "mothers fathers", "mother father", "maternal paternal parental", "sons daughters", "son daughter",
        "brothers sisters", "husbands wives", "his her", "he she", "gay lesbian bisexual",
        "children adults adolescents infants neonates newborns toddlers youth elderly child adult adolescent infant "
        "neonate newborn preschoolers teenagers older younger pediatric geriatric neonatal paediatric babies",
        "early late", "earlier later", "before after during", "hypo hyper", "intra inter extra",
        "micro macro", "mono poly multi bi tri", "under over", "uni bi multi", "prior subsequent", "first last",
        "initial final", "pre post peri", "prenatal postnatal perinatal antenatal antepartum postpartum intrapartum",
        "preoperative postoperative intraoperative perioperative", "morning evening afternoon night noon",
        "day night", "daytime nighttime nocturnal diurnal", "days weeks months years hours minutes", "day week month year",
        "daily weekly monthly yearly hourly annual quarterly biweekly",
        "january february march april may june july august september october november december",
        "monday tuesday wednesday thursday friday saturday sunday", "spring summer autumn fall winter", "dry wet",
        "acute chronic subacute", "short long medium intermediate mid", "shorter longer", "brief extended prolonged",
        "temporary permanent", "transient persistent", "reversible irreversible",
        "high low medium moderate intermediate", "higher lower", "highest lowest", "upper lower middle",
        "increase decrease", "increased decreased reduced elevated unchanged", "increases decreases",
        "increasing decreasing", "gain loss", "rise fall", "more less fewer", "most least", "maximum minimum",
        "maximal minimal submaximal", "large small", "larger smaller", "big little", "great small", "major minor",
        "mild moderate severe", "light heavy", "strong weak", "fast slow", "rapid slow", "hard soft", "full partial",
        "complete incomplete partial", "total partial subtotal", "open closed laparoscopic", "broad narrow",
        "positive negative neutral", "benefits harms", "benefit harm risk", "risk protective", "advantages disadvantages",
        "success failure", "successful failed", "responders nonresponders", "survivors nonsurvivors",
        "present absent", "presence absence", "active inactive passive", "active placebo sham", "treated untreated",
        "healthy ill sick diseased", "normal abnormal", "benign malignant", "primary secondary tertiary quaternary",
        "left right bilateral unilateral", "anterior posterior", "proximal distal", "dorsal ventral", "medial lateral",
        "superior inferior", "internal external", "inner outer", "central peripheral", "cranial caudal", "rostral caudal",
        "superficial deep", "superficial profound", "ipsilateral contralateral", "inside outside", "indoor outdoor",
        "top bottom", "above below", "over under", "in out", "on off", "up down", "to from", "into from", "front back",
        "north south east west northern southern eastern western northeast northwest southeast southwest",
        "urban rural suburban", "inpatient outpatient", "inpatients outpatients", "hospital community home", "local global",
        "national international regional local", "public private", "vivo vitro silico situ", "human animal",
        "rats mice rabbits dogs cats pigs sheep monkeys humans horses cows cattle", "rat mouse rabbit dog cat pig sheep monkey",
        "systolic diastolic", "arterial venous", "artery vein", "arteries veins", "atrial ventricular", "aortic mitral "
        "tricuspid pulmonary", "sensory motor", "afferent efferent", "sympathetic parasympathetic", "inspiratory expiratory",
        "inspiration expiration", "flexion extension", "abduction adduction", "adduction abduction", "supine prone",
        "sitting standing lying", "agonist antagonist", "agonists antagonists", "inhibitor activator", "inhibition activation",
        "inhibitors activators inducers", "input output", "supply demand", "import export", "buyers sellers",
        "cause effect", "causes consequences effects", "direct indirect", "simple complex", "single multiple double dual "
        "triple", "mono dual triple combination", "univariate multivariate bivariate", "linear nonlinear", "static dynamic",
        "qualitative quantitative", "objective subjective", "cross longitudinal", "prospective retrospective",
        "randomised nonrandomised", "randomized nonrandomized", "blind open", "smokers nonsmokers", "smoking nonsmoking",
        "users nonusers", "opposed supported", "oral intravenous intramuscular subcutaneous topical rectal intranasal "
        "inhaled transdermal sublingual", "surgical medical conservative nonsurgical", "viral bacterial fungal parasitic",
        "alpha beta gamma delta epsilon kappa lambda mu omega sigma theta zeta", "carbon nitrogen oxygen hydrogen",
        "sodium potassium calcium magnesium", "iron zinc copper", "white black red green blue yellow brown",
        "black white hispanic asian", "theory practice", "supervised unsupervised", "teachers students", "nurses "
        "doctors physicians", "patients caregivers carers relatives", "employers employees", "parents children",
        "i ii iii iv v vi vii viii ix x", "one two three four five six seven eight nine ten", "first second third fourth "
        "fifth sixth seventh eighth ninth tenth", "and or", "and versus", "all some no none", "always never", "yes no",
        "true false", "real virtual", "online offline", "wired wireless", "same different", "similar different",
        "like unlike", "equal unequal", "best worst", "better worse", "good poor bad", "easy difficult", "old new",
        "older newer", "past future present", "young old", "rich poor",
        "alone combined", "included excluded", "inclusion exclusion",
        "inclusive exclusive", "entry exit", "start end", "beginning end", "attack defense", "war peace", "birth death",
        "born died", "natural artificial synthetic", "organic inorganic", "acid base", "acidic alkaline basic", "hot cold warm",
        "heating cooling", "solid liquid gas", "aerobic anaerobic", "dominant recessive", "wild mutant", "knockout wild",
        "donor recipient", "donors recipients", "host guest", "predator prey", "ingroup outgroup", "introvert extravert",
        "depression anxiety", "county country",
        "contact contract", "theft robbery", "winning losing", "winners losers", "credit debit", "profit loss",
        "cheap expensive",
    )
)  # fmt: skip
_LIST_OF: dict[str, list[int]] = {}
for _number, _words in enumerate(_LISTS):
    for _word in _words:
        _LIST_OF.setdefault(_word, []).append(_number)
# Words that turn a title into its opposite where only one has them.
_DENIALS = frozenset(
    "no not non never without neither nor un anti lack absence except excluding versus cannot nil".split()
)
# Words that databases leave out or put in.
_FILLERS = (SMALL_WORDS | {"s"}) - {"or", "with", "by", "from", "at", "a"}
# After these a letter is a name and no article: "hepatitis A", "vitamin a".
_LETTERED = frozenset(
    "vitamin hepatitis influenza group type class protein factor immunoglobulin part study grade stage category level "
    "cluster phase arm cohort series model form version section scale subtype haemophilia hemophilia strain serotype "
    "method version experiment trial paper report appendix chapter case plan option team site lot".split()
)
_VOWELS = frozenset("aeiouy")
# A word of chemistry is another one without its last letter: silicon, silicone.
_CHEMICAL = re.compile(r"(?:[aeiouy]n|[ai]d|[ai]t|[oy]l|s)e?$")
_SPELT_ALIKE = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"[ao]e", "e"), (r"ou(?=r|l)", "o"), (r"z", "s"), (r"ys(?=[ei])", "is"), (r"tre\b", "ter"), (r"ogue\b", "og"),
        (r"ph", "f"), (r"(?<=[a-z]{3})mme\b", "m"), (r"ence\b", "ense"), (r"(.)\1", r"\1"), (r"(?<=[a-z]{3})e?s\b", ""),
        (r"(?<=ag)e(?=ing)", ""), (r"(?<=dg)e(?=ment)", ""), (r"gr[ae]y\b", "gray"),
    )
)  # fmt: skip


def difference(one: str, other: str) -> Difference:
    """Say what two titles, in their normal form, say differently."""
    words, others = one.split(), other.split()
    found = Difference.SPELLING
    for (start, end), (other_start, other_end) in _changes(words, others):
        changed, into = words[start:end], others[other_start:other_end]
        found = max(found, _difference(changed, into, _before(words, start), words[end : end + 1]))
        if found is Difference.MEANING:
            break
    return found


def is_beginning(shorter: str, longer: str) -> bool:
    """Tell whether a title begins with the words of another, spelt as they may be."""
    words = longer.split()[: len(shorter.split())]
    return difference(" ".join(words), shorter) is Difference.SPELLING


def is_one_word_exchanged(one: str, other: str) -> bool:
    """Tell whether two titles differ in one word or two at one place, as the titles of companion papers do.

    That one goes on longer than the other is no difference here: titles are cut, and subtitles and headings left out.
    Nor is a wrong vowel in a long word, though it may make another word: who asks this knows more of the two records.
    """
    words, others = one.split(), other.split()
    if sorted(words) == sorted(others):
        return True  # the effect of sleep on pain, the effect of pain on sleep
    if min(len(words), len(others)) < 4:
        return False
    telling = []
    for (start, end), (other_start, other_end) in _changes(words, others):
        changed, into = words[start:end], others[other_start:other_end]
        if _difference(changed, into, _before(words, start), words[end : end + 1]) is not Difference.SPELLING:
            if SMALL_WORDS.issuperset((*changed, *into)) or _may_be_misspelt("".join(changed), "".join(into)):
                continue
            is_heading = start == 0 and not (changed and into) and len(changed or into) > 1
            if not is_heading and (end < len(words) or (changed and into)):
                telling.append(max(len(changed), len(into)))
    return len(telling) == 1 and telling[0] <= 2


def _may_be_misspelt(one: str, other: str) -> bool:
    """Tell whether a long word may be the other with a wrong vowel, or without a letter: "persistant", "exlude"."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 6 or one[0] != other[0] or are_opposites(one, other):
        return False
    if len(shorter) < len(longer):
        return shorter[-1] == longer[-1] and OSA.distance(one, other, score_cutoff=1) == 1
    exchanged = [(x, y) for x, y in zip(one, other, strict=True) if x != y]
    return len(shorter) > 7 and len(exchanged) == 1 and _VOWELS.issuperset(exchanged[0])


def _changes(words: Sequence[str], others: Sequence[str]) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the stretches that differ, neighbours as one: "well being" and "wellbeing" are a single change."""
    start = other_start = end = other_end = -1
    for op in Levenshtein.opcodes(words, others):
        if op.tag == "equal":
            if start >= 0:
                yield (start, end), (other_start, other_end)
            start = -1
            continue
        if start < 0:
            start, other_start = op.src_start, op.dest_start
        end, other_end = op.src_end, op.dest_end
    if start >= 0:
        yield (start, end), (other_start, other_end)


def _before(words: Sequence[str], at: int) -> str:
    return words[at - 1] if at else ""


def _difference(words: Sequence[str], others: Sequence[str], before: str, after: Sequence[str]) -> Difference:
    joined, joined_others = "".join(words), "".join(others)
    if joined == joined_others or _spelling(joined) == _spelling(joined_others):
        return Difference.SPELLING
    # Before what may be typing: "parental" and "prenatal" are a letter apart.
    if _are_opposed(words, others):
        return Difference.MEANING
    if len(words) == len(others) and all(_is_typing(*pair) for pair in zip(words, others, strict=True)):
        return Difference.SPELLING
    if (not words or not others) and all(_is_filler(w, before, after) for w in (*words, *others)):
        return Difference.SPELLING
    return Difference.WORDS


def _is_filler(word: str, before: str, after: Sequence[str]) -> bool:
    if word == "a":  # an article comes before a word, and a letter that is a name after one
        return before not in _LETTERED and bool(after) and after[0] not in SMALL_WORDS
    return word in _FILLERS


def _are_opposed(words: Sequence[str], others: Sequence[str]) -> bool:
    only_one, only_other = set(words) - set(others), set(others) - set(words)
    if not _DENIALS.isdisjoint(only_one ^ only_other):
        return True
    if any(_is_label(w) for w in only_one) and any(_is_label(w) for w in only_other):
        return True
    if len(only_one) > 6 or len(only_other) > 6:
        return False
    return any(are_opposites(one, other) for one, other in product(only_one, only_other))


def _is_label(word: str) -> bool:
    """Tell whether a word is a name in an enumeration: "b", "iv", "2", "th17"."""
    return (len(word) == 1 and word.isalpha()) or any(c.isdigit() for c in word) or bool(_ROMAN.fullmatch(word))


_ROMAN = re.compile(r"[ivx]{1,5}")


@lru_cache(maxsize=1 << 14)
def are_opposites(one: str, other: str) -> bool:
    """Tell whether two words are opposites, or two of one list."""
    if one == other:
        return False
    if not set(_LIST_OF.get(one, ())).isdisjoint(_LIST_OF.get(other, ())):
        return True
    n, m = len(one), len(other)
    for rest in range(_common(one[::-1], other[::-1]), 1, -1):
        if n - rest > _LONGEST_PREFIX or m - rest > _LONGEST_PREFIX:
            break
        least = _EXCHANGED_PREFIXES.get((one[: n - rest], other[: m - rest]))
        if least is not None and rest >= least:
            return True
    return any((one[same:], other[same:]) in _EXCHANGED_SUFFIXES for same in range(3, _common(one, other) + 1))


def _common(one: str, other: str) -> int:
    """Return with how many letters two words both begin."""
    return next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other)))


@lru_cache(maxsize=1 << 14)
def _spelling(word: str) -> str:
    """Return a word as British and American writers spell it alike, its plural and its doubled letters undone."""
    if len(word) < 5:  # "II" is no misspelt "I"
        return word
    for pattern, to in _SPELT_ALIKE:
        word = pattern.sub(to, word)
    return word


def _is_typing(one: str, other: str) -> bool:
    """Tell whether a word is the other mistyped: a letter too many, too few, or before its neighbour."""
    if one == other or _spelling(one) == _spelling(other):
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(longer) < 5 or not one.isalpha() or not other.isalpha() or OSA.distance(one, other, score_cutoff=1) != 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(shorter, longer)) if x != y), len(shorter))
    if at == 0 or longer[0] != shorter[0]:
        return False
    if len(shorter) == len(longer):
        return len(shorter) > 6 and sorted(shorter) == sorted(longer)  # two letters changed places; none was exchanged
    if at == len(shorter):
        return len(shorter) > 6 and longer[-1] == "e" and not _CHEMICAL.search(longer)
    return len(shorter) > 7 or longer[at] in _VOWELS
