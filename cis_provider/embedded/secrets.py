"""Keys and passwords of the embedded Airflow: made once, kept, never shown but the one a person needs."""

from __future__ import annotations

import base64
import os
import secrets

import msgspec

from cis_provider.embedded import layout
from cis_provider.errors import ConfigError
from cis_provider.files import write_atomic

USER = "admin"
"""The one user of the embedded Airflow."""


class Secrets(msgspec.Struct, frozen=True):
    """All of them; each is independent of the others."""

    fernet_key: str
    jwt_secret: str
    secret_key: str
    password: str
    database_password: str
    superuser_password: str


def load_or_make() -> Secrets:
    """
    The secrets of this home; new ones, when there are none.

    :raises ConfigError: The file is there and cannot be read; making new ones would lock people out of the
        database and of every stored connection.
    """
    found = load()
    if found is None:
        found = Secrets(
            fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
            # HS512 wants a key as long as its digest.
            jwt_secret=secrets.token_urlsafe(64),
            secret_key=secrets.token_urlsafe(32),
            password=secrets.token_urlsafe(12),
            database_password=secrets.token_urlsafe(24),
            superuser_password=secrets.token_urlsafe(24),
        )
        write_atomic(layout.secrets_file(), msgspec.json.encode(found))
    write_atomic(layout.passwords_file(), msgspec.json.encode({USER: found.password}))
    return found


def load() -> Secrets | None:
    """
    The secrets of this home, or ``None`` when it has none yet.

    :raises ConfigError: The file is there and cannot be read.
    """
    path = layout.secrets_file()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); put it back from a backup") from None
