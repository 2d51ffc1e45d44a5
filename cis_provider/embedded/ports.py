"""Ports on loopback: the same ones every time, unless somebody else has them."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator

import msgspec

from cis_provider import paths
from cis_provider.embedded import layout
from cis_provider.errors import ConfigError
from cis_provider.files import write_atomic

_FIRST, _COUNT = 21000, 10000  # below the ports that systems give to outgoing connections


class Ports(msgspec.Struct, frozen=True):
    """What listens on TCP: Airflow's API with its pages, and the answer to its question for served logs."""

    api: int
    logs: int


def choose() -> Ports:
    """
    Free ports: last time's if they still are, else others; remembered.

    :raises ConfigError: Not one of the range is free.
    """
    wished = _last_time()
    candidates = _candidates(wished, str(paths.cis_home()))
    found = Ports(api=_next_free(candidates, is_free), logs=_next_free(candidates, is_free))
    if found != wished:
        write_atomic(layout.ports_file(), msgspec.json.encode(found))
    return found


def is_free(port: int) -> bool:
    """Whether we could listen there; connections of an earlier server that fade away do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _last_time() -> Ports | None:
    try:
        return msgspec.json.decode(layout.ports_file().read_bytes(), type=Ports)
    except (OSError, msgspec.DecodeError):
        return None


def _candidates(wished: Ports | None, seed: str) -> Iterator[int]:
    if wished:
        yield from (wished.api, wished.logs)
    start = int(hashlib.sha256(seed.encode()).hexdigest()[:8], 16)
    for step in range(_COUNT):
        port = _FIRST + (start + step) % _COUNT
        if not wished or port not in (wished.api, wished.logs):
            yield port


def _next_free(candidates: Iterator[int], free: Callable[[int], bool]) -> int:
    for port in candidates:
        if free(port):
            return port
    raise ConfigError(f"no free port between {_FIRST} and {_FIRST + _COUNT} on 127.0.0.1")
