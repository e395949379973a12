"""Coefficients of agreement, against published tables and values computed by hand."""

import numpy as np
import pytest

from triage.agreement import cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha

# Krippendorff 2011, example C (nominal data, any number of observers, missing data): alpha = 0.743. A row for
# each observer; the intervals, and the values of the tables below, are those of irrCAC 0.4.4, whose tables they
# are but for the first, by the author of AC1 and of the variances.
KRIPPENDORFF = ["123321412...", "1233224125.3", ".33323422 51.".replace(" ", ""), "12332441251."]
OTHERS = {
    "four raters": (
        ["abccbadab...bb", "abccbbdabe..ba", ".cccbcdbbeaccc", "abccbddabea.bb"],
        (0.6846, 0.39612, 0.97308),
        (0.65725, 0.33337, 0.98112),
        (0.63181, 0.30564, 0.95797),
    ),
    "two raters": (
        ["aabbdcccedda", "babbbccce.dd"],
        (0.66144, 0.25654, 1),
        (0.64935, 0.22831, 1),
        (0.66489, 0.26367, 1),
    ),
    "five observers": (
        ["112.001122.0131", "1130000.2110231", "203000222100221", ".13....0.10022.", "2..0001.2....31"],
        (0.49662, 0.23502, 0.75823),
        (0.45762, 0.19928, 0.71596),
        (0.48053, 0.23708, 0.72398),
    ),
}


def table(rows, alphabet="0123456789abcdef"):
    return np.array([[alphabet.find(c) for c in row] for row in rows]).T


def pairs(matrix):
    """Return the two label columns whose table of counts this is."""
    cells = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) for _ in range(count)]
    return np.array(cells).T


def rounded(found, digits=5):
    return tuple(round(x, digits) for x in (found.value, found.lower, found.upper))


def test_krippendorffs_example():
    labels = table(KRIPPENDORFF)
    assert labels.shape == (12, 4)
    assert rounded(krippendorff_alpha(labels)) == (0.74342, 0.41906, 1)
    assert rounded(gwet_ac1(labels)) == (0.77544, 0.46081, 1)
    assert rounded(fleiss_kappa(labels)) == (0.76117, 0.42438, 1)
    assert krippendorff_alpha(labels).records == 11  # one unit has a single label


@pytest.mark.parametrize(
    "matrix, kappa, ac1",
    [
        # Gwet 2014: two abstractors on the kind of 100 pregnancies; two clinicians on 223 diagnoses.
        ([[13, 0, 0], [0, 20, 7], [0, 4, 56]], (0.79641, 0.67952, 0.9133), (0.84933, 0.76315, 0.93552)),
        (
            [[40, 4, 4, 17], [6, 25, 2, 13], [4, 1, 21, 12], [15, 5, 9, 45]],
            (0.4315, 0.34091, 0.52209),
            (0.45616, 0.37034, 0.54198),
        ),
    ],
)
def test_gwets_tables_of_two(matrix, kappa, ac1):
    first, second = pairs(matrix)
    assert rounded(cohen_kappa(first, second)) == kappa
    assert rounded(gwet_ac1(np.stack([first, second], axis=1))) == ac1
    assert rounded(cohen_kappa(second, first)) == kappa


@pytest.mark.parametrize("name", OTHERS)
def test_published_tables_with_missing_labels(name):
    rows, ac1, kappa, alpha = OTHERS[name]
    labels = table(rows)
    assert (rounded(gwet_ac1(labels)), rounded(fleiss_kappa(labels)), rounded(krippendorff_alpha(labels))) == (
        ac1,
        kappa,
        alpha,
    )


def test_fleiss_by_hand():
    """Ten subjects, fourteen raters, five categories: by hand P = .378, Pe = .213, kappa = .210."""
    counts = [
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    ]
    found = fleiss_kappa(np.array([np.repeat(np.arange(5), row) for row in counts]))
    assert found.value == pytest.approx(0.210, abs=0.0005) and found.observed == pytest.approx(0.378, abs=0.0005)


def test_cohen_by_hand():
    """Ten records: 4 both include, 3 both exclude, 2 and 1 apart. po = .7, pe = .6 .5 + .4 .5 = .5, kappa = .4."""
    found = cohen_kappa(*pairs([[4, 2], [1, 3]]))
    assert found.value == pytest.approx(0.4) and found.observed == pytest.approx(0.7) and found.records == 10


def test_the_paradox_of_a_rare_label():
    """Feinstein and Cicchetti 1990: of 100, 80 both no, 5 both yes, 15 apart; by hand pa = .85."""
    first, second = pairs([[5, 10], [5, 80]])
    labels = np.stack([first, second], axis=1)
    share = (15 + 10) / 200
    assert cohen_kappa(first, second).value == pytest.approx((0.85 - 0.78) / 0.22)
    assert fleiss_kappa(labels).value == pytest.approx((0.85 - share**2 - (1 - share) ** 2) / (2 * share * (1 - share)))
    ac1 = gwet_ac1(labels)
    assert ac1.value == pytest.approx((0.85 - 2 * share * (1 - share)) / (1 - 2 * share * (1 - share)))
    assert ac1.value > 0.8 > 0.4 > cohen_kappa(first, second).value


def test_missing_labels_are_left_out_and_names_do_not_matter():
    first, second = np.array([0, 1, 1, -1, 0, 1, -1]), np.array([0, 1, 0, 1, -1, 1, -1])
    assert cohen_kappa(first, second) == cohen_kappa(first[[0, 1, 2, 5]], second[[0, 1, 2, 5]])
    labels = table(KRIPPENDORFF)
    empty = np.vstack([labels, np.full((3, 4), -1)])
    renamed = np.where(labels >= 0, 20 - labels, -1)
    for coefficient in (fleiss_kappa, gwet_ac1, krippendorff_alpha):
        assert coefficient(empty) == coefficient(labels)
        assert coefficient(renamed).value == pytest.approx(coefficient(labels).value)
        assert coefficient(labels[:, ::-1]).value == pytest.approx(coefficient(labels).value)


def test_nothing_is_claimed_where_nothing_is_known():
    nobody, alone = np.full((4, 2), -1), np.array([[0, -1], [1, -1]])
    for coefficient in (fleiss_kappa, gwet_ac1, krippendorff_alpha):
        assert coefficient(nobody).value is None and coefficient(alone).value is None
        same = coefficient(np.zeros((5, 2), int))
        assert same.value is None and same.observed == 1 and same.records == 5
        perfect = coefficient(np.array([[0, 0], [1, 1], [0, 0]]))
        assert perfect.value == pytest.approx(1) and perfect.lower is None and perfect.upper is None
    assert cohen_kappa(nobody[:, 0], nobody[:, 1]).value is None
    assert cohen_kappa(np.zeros(5, int), np.zeros(5, int)).value is None
    assert cohen_kappa(np.array([0]), np.array([1])).lower is None


def test_chance_gives_nothing():
    labels = np.random.default_rng(1).integers(0, 3, (20_000, 3))
    for coefficient in (fleiss_kappa, gwet_ac1, krippendorff_alpha):
        found = coefficient(labels)
        assert found.lower < 0 < found.upper and abs(found.value) < 0.02


def test_the_interval_holds_what_it_says():
    """Of 300 samples of 60 records, each of two noisy reviewers, about 95 in 100 intervals hold the value of all."""
    rng = np.random.default_rng(2)
    truth = rng.random(200_000) < 0.3
    labels = np.stack([np.where(rng.random(len(truth)) < 0.1, ~truth, truth) for _ in range(3)], axis=1).astype(int)
    labels[rng.random(labels.shape) < 0.1] = -1
    for coefficient in (fleiss_kappa, gwet_ac1, krippendorff_alpha):
        value = coefficient(labels).value
        held = [a.lower <= value <= a.upper for a in (coefficient(labels[i * 60 : (i + 1) * 60]) for i in range(300))]
        assert 0.90 <= np.mean(held) <= 0.99
