"""Getting a changed CIS file into Airflow within two seconds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from cis_provider.embedded import health, layout, postgres, token
from cis_provider.embedded.secrets import USER, Secrets

_BUNDLE = "dags-folder"  # the name of Airflow's default bundle
_SUFFIXES = (".yaml", ".yml", ".json", ".toml", ".py")


def request(url: str, secrets: Secrets) -> None:
    """
    Make the dag processor refresh the folder and parse the loader at once. Blocks.

    The API refuses while the loader has no DAG yet, so then the request goes where the API would put it.

    :raises UnreachableError: Neither the API nor the database takes it.
    """
    from itsdangerous import URLSafeSerializer

    loader = layout.loader_file().name
    payload = {"bundle_name": _BUNDLE, "relative_fileloc": loader}
    file_token = str(URLSafeSerializer(secrets.secret_key).dumps(payload))
    bearer = token.sign(key=secrets.jwt_secret, user=USER, role=USER, now=time.time(), lifetime=60)
    if health.request_parse(url, bearer, file_token):
        return
    key = hashlib.md5(f"{_BUNDLE}:{loader}".encode(), usedforsecurity=False).hexdigest()
    postgres.locate().run_sql(
        "insert into dag_priority_parsing_request (id, bundle_name, relative_fileloc)"
        f" values ('{key}', '{_BUNDLE}', '{loader}') on conflict do nothing",
        password=secrets.database_password,
    )


def fingerprint(folder: Path, *files: Path) -> dict[str, tuple[int, int]]:
    """
    Time of change and size of every file that may hold DAGs; two that differ mean that something changed.

    About 5 ms for a thousand files.

    :param files: Others that DAGs depend on; they need not be there.
    """
    found: dict[str, tuple[int, int]] = {}
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            found[str(file)] = (status.st_mtime_ns, status.st_size)
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                path = f"{parent}/{name}"
                try:
                    status = os.stat(path)  # noqa: PTH116 - thousands of them, every two seconds
                except OSError:
                    continue
                found[path] = (status.st_mtime_ns, status.st_size)
    return found
