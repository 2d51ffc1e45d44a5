"""
The steps of ``nightly-upgrade.yaml``. Each is one small command that an agent runs:

    python3 "$CIS_BASE/nightly_upgrade" find|upgrade|verify|report

Only Python's standard library, git, and the pip of the Python that runs it.
"""
