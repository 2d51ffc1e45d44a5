"""The embedded PostgreSQL, for real: made, started, asked, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import psycopg2
import pytest

from cis_provider import paths
from cis_provider.embedded import layout, postgres, process, sessions
from cis_provider.embedded.account import Account, initdb_account
from cis_provider.embedded.secrets import Secrets, load_or_make
from cis_provider.embedded.state import Process
from cis_provider.errors import ConfigError, UnreachableError
from cis_provider.files import private_folder

pytestmark = pytest.mark.integration


class Running:
    """A started server."""

    def __init__(self, server: postgres.Server, secrets: Secrets) -> None:
        self.server = server
        self.secrets = secrets
        self.child, self.process = self.start()

    def start(self) -> tuple[subprocess.Popen[bytes], Process]:
        child, found = process.spawn("postgres", self.server.command(), {}, account=self.server.account)
        deadline = time.monotonic() + 20
        while not self.server.is_ready(child.pid):
            assert child.poll() is None, layout.component_log("postgres").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return child, found

    def end(self) -> list[int]:
        left = sessions.end(
            [self.process], first=signal.SIGINT, grace=10, timeout=5, database=self.server.data
        )
        self.child.wait(5)
        return left


def make(server: postgres.Server, secrets: Secrets) -> None:
    command = postgres.make(server, secrets)
    assert command
    child, _ = process.spawn("initdb", command, {}, account=initdb_account(server.account))
    assert child.wait(60) == 0, layout.component_log("initdb").read_text()
    postgres.keep(server)


@pytest.fixture
def database(cis_home: Path) -> Iterator[Running]:
    private_folder(paths.airflow_dir())
    server, secrets = postgres.locate(), load_or_make()
    make(server, secrets)
    postgres.open_sockets(server)
    running = Running(server, secrets)
    server.prepare(secrets)
    yield running
    assert running.end() == []


def test_both_drivers_reach_it_over_the_unix_socket_with_the_password_only(database: Running) -> None:
    there = {"host": str(database.server.sockets), "user": "airflow", "database": "airflow"}

    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(**there, password="wrong")
    psycopg2.connect(**there, password=database.secrets.database_password).close()

    async def ask() -> int:
        connection = await asyncpg.connect(**there, password=database.secrets.database_password)
        found = await connection.fetchval("select 1")
        await connection.close()
        return int(found)

    assert asyncio.run(ask()) == 1


def test_it_listens_on_no_network_and_its_socket_is_for_us_only(database: Running) -> None:
    # Its answer, not its open files: root in a container may not look at those of another user.
    assert database.server.run_sql("show listen_addresses", password=database.secrets.database_password) == ""
    assert stat.S_IMODE(database.server.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(database.server.data.stat().st_mode) == 0o700


def test_airflows_role_cannot_read_the_servers_files(database: Running) -> None:
    with pytest.raises(UnreachableError, match="permission denied"):
        database.server.run_sql(
            "select pg_read_file('/etc/passwd')", password=database.secrets.database_password
        )


def test_preparing_again_changes_nothing(database: Running) -> None:
    password = database.secrets.database_password
    database.server.run_sql("create table kept (n int); insert into kept values (7)", password=password)

    database.server.prepare(database.secrets)

    assert database.server.run_sql("select n from kept", password=password) == "7"


def test_a_killed_server_keeps_what_was_committed_and_starts_again(database: Running) -> None:
    password = database.secrets.database_password
    database.server.run_sql("create table kept (n int)", password=password)
    database.server.run_sql("set synchronous_commit = on; insert into kept values (7)", password=password)

    os.kill(database.process.pid, signal.SIGKILL)
    assert database.end() == []
    database.child, database.process = database.start()

    assert database.server.run_sql("select n from kept", password=password) == "7"


def test_no_process_of_it_is_left_even_though_each_leads_a_session_of_its_own(database: Running) -> None:
    with psycopg2.connect(
        host=str(database.server.sockets), user="airflow", dbname="airflow",
        password=database.secrets.database_password,
    ):  # fmt: skip
        family = psutil.Process(database.process.pid).children()
        assert len(family) > 2
        found = set(sessions.at_work_in(database.server.data))
        # Some, such as autovacuum's, live for a moment only.
        assert {one.pid for one in family if one.is_running()} <= found
        assert database.end() == []
        assert not any(one.is_running() for one in family)
    database.child, database.process = database.start()


def test_an_interrupted_initdb_is_begun_anew(cis_home: Path) -> None:
    private_folder(paths.airflow_dir())
    server, secrets = postgres.locate(), load_or_make()
    command = postgres.make(server, secrets)
    assert command
    (Path(command[2]) / "half").write_text("made")

    assert not server.data.exists()
    make(server, secrets)

    assert (server.data / "PG_VERSION").exists()
    assert not (server.data / "half").exists()
    assert postgres.make(server, secrets) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
def test_as_root_another_user_runs_it_and_every_folder_keeps_its_mode(cis_home: Path) -> None:
    private_folder(paths.airflow_dir())
    above = [cis_home, *cis_home.parents]
    modes = [folder.stat().st_mode for folder in above]
    assert any(not folder.stat().st_mode & stat.S_IXOTH for folder in above)  # others cannot pass

    server, secrets = postgres.locate(), load_or_make()
    make(server, secrets)
    postgres.open_sockets(server)
    running = Running(server, secrets)
    try:
        uids = psutil.Process(running.process.pid).uids()
        assert isinstance(server.account, Account)
        assert {uids.real, uids.effective, uids.saved} == {server.account.uid}
        assert server.data.stat().st_uid == server.account.uid
        assert layout.secrets_file().stat().st_uid == 0
        assert [folder.stat().st_mode for folder in above] == modes
        assert postgres.locate().account == server.account
    finally:
        assert running.end() == []


def test_a_socket_path_that_is_too_long_is_a_clear_error(
    cis_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_folder(paths.airflow_dir())
    monkeypatch.setenv("CIS_RUNTIME_DIR", str(cis_home / ("deep" * 30)))

    with pytest.raises(ConfigError, match="CIS_RUNTIME_DIR"):
        postgres.open_sockets(postgres.locate())
