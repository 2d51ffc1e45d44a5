"""
An Airflow command whose slow imports are done before the database is there.

``python -m cis_provider.embedded.preload MODULE COMMAND...`` imports ``MODULE``, waits for the end of its
standard input, and goes on as ``airflow COMMAND...``. Importing the API server's application takes five
seconds, half of the time to start, and needs no database; the command itself asks the database at once.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main(module: str, *command: str) -> None:
    """Import, wait, run; ends the process as the command does."""
    from airflow.utils.providers_configuration_loader import providers_configuration_loaded

    providers_configuration_loaded(import_module)(module)
    sys.stdin.read()
    sys.argv = ["airflow", *command]
    from airflow.__main__ import main as airflow

    airflow()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(*sys.argv[1:])
