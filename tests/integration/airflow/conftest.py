"""Airflow's tables in databases of both kinds: the one with one writer, and the one with many."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from cis_provider import paths
from cis_provider.embedded import postgres, process, sessions
from cis_provider.embedded.account import initdb_account
from cis_provider.embedded.secrets import load_or_make
from cis_provider.files import private_folder


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Engine]:
    """A PostgreSQL of its own, empty; it is stopped after the module that wanted it."""
    runtime = Path(
        tempfile.mkdtemp(prefix="cis-p-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    home = Path(tempfile.mkdtemp(prefix="cis-home-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIS_HOME", str(home))
        patch.setenv("CIS_RUNTIME_DIR", str(runtime))
        private_folder(paths.airflow_dir())
        server, secrets = postgres.locate(), load_or_make()
        command = postgres.make(server, secrets)
        assert command
        child, _ = process.spawn("initdb", command, {}, account=initdb_account(server.account))
        assert child.wait(60) == 0
        postgres.keep(server)
        postgres.open_sockets(server)
        child, started = process.spawn("postgres", server.command(), {}, account=server.account)
        deadline = time.monotonic() + 20
        while not server.is_ready(child.pid):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.prepare(secrets)
        engine = create_engine(server.url(secrets, "psycopg2"))
        yield engine
        engine.dispose()
        sessions.end([started], first=2, grace=10, timeout=5, database=server.data)
        child.wait(5)
    shutil.rmtree(runtime, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with Airflow's tables, all empty."""
    from airflow.models.base import Base
    from airflow.utils.db import import_all_models

    import_all_models()
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path}/airflow.db", connect_args={"timeout": 20})
        Base.metadata.create_all(engine)
        yield engine
        engine.dispose()
        return
    engine = request.getfixturevalue("postgresql")
    Base.metadata.create_all(engine)
    yield engine
    with engine.begin() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
