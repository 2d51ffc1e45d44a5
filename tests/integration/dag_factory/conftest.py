"""An Airflow for parsing: a home, a SQLite database, a dags folder with the loader. No server runs."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LOADER = ROOT / "dags/cis_loader.py"


class ParsingAirflow:
    """Runs Airflow's own commands, and looks into its database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        shutil.copy(LOADER, self.dags)
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CIS_"))
        }
        self.env |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "CIS_HOME": str(home / "cis"),
            "CIS_RUNTIME_DIR": str(home / "run"),
        }

    def cis_file(self, name: str, text: str) -> Path:
        """Write a CIS file into the dags folder."""
        path = self.dags / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *command: str) -> str:
        """An ``airflow`` command; its output."""
        return self._call([sys.executable, "-m", "airflow", *command])

    def python(self, script: str) -> Any:
        """A script that prints JSON in its last line; the value."""
        return json.loads(self._call([sys.executable, "-c", script]).strip().splitlines()[-1])

    def parse(self) -> None:
        """Let a real dag processor look at every file once."""
        self.run("dag-processor", "--num-runs", "1")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Look into Airflow's database."""
        with sqlite3.connect(self.home / "airflow.db") as connection:
            return connection.execute(query).fetchall()

    def _call(self, command: list[str]) -> str:
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied."""
    airflow = ParsingAirflow(tmp_path_factory.mktemp("migrated"))
    airflow.run("db", "migrate")
    return airflow.home / "airflow.db"


@pytest.fixture
def airflow(tmp_path: Path, migrated: Path) -> ParsingAirflow:
    """A fresh Airflow."""
    fresh = ParsingAirflow(tmp_path / "airflow")
    shutil.copy(migrated, fresh.home / "airflow.db")
    return fresh
