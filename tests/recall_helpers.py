"""What the tests of recall share."""

from triage.log import History


def history(y, origin, n, **options):
    how = {"r": "ranked", "a": "audit", "p": "prior"}
    return History.of(range(len(y)), y, [how[o] for o in origin], n_records=n, **options)
