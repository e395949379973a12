"""The Python interface: tables of pandas in, estimators in the manner of scikit-learn, tables and frozen results out.

Its names are those of the package itself (`triage.Ranker`, `triage.simulate`, `triage.certificate`,
`triage.open_review`). Everything is computed by the modules that the commands use.
"""
