"""
Make or change Airflow's tables, in a process of its own: ``python -m cis_provider.embedded.migrate``.

It imports Airflow while the database is still being started, then waits for a line on its standard input.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Migrate, once told to; anything that goes wrong ends the process with a traceback."""
    from airflow.utils import db
    from airflow.utils.providers_configuration_loader import providers_configuration_loaded

    if not sys.stdin.readline():
        raise SystemExit("the supervisor is gone")
    providers_configuration_loaded(db.initdb)()


if __name__ == "__main__":
    main()
