"""
Which file of a folder holds which DAG, as the last full look at the folder found it. No Airflow.

One line for each DAG, so that a task that starts reads one of them, however many there are:
``"<dag id>"<TAB><entry as JSON>``, in the order of the ids. It is a cache: whoever reads it must be able to
do without, and whoever cannot write it goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cis_provider import paths
from cis_provider.errors import CisError
from cis_provider.files import private_folder, write_atomic

if TYPE_CHECKING:
    from dag_factory.spec import DagSpec

log = logging.getLogger(__name__)


class IndexedAgent(msgspec.Struct, frozen=True):
    """One agent; ``position`` is its place in the file, from 1."""

    id: str
    type: str
    position: int
    deps: tuple[str, ...] = ()


class IndexEntry(msgspec.Struct, frozen=True):
    """
    One DAG.

    :param path: Its CIS file.
    :param mtime_ns: And ``size``: of the file when it was read.
    :param base: Folder to which relative paths in the file belong.
    """

    dag_id: str
    path: str
    mtime_ns: int
    size: int
    base: str
    agents: tuple[IndexedAgent, ...]


def index_file(folder: Path) -> Path:
    """Where the index of a folder is kept."""
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return paths.cache_dir() / f"dags-{digest}.jsonl"


def entry_of(spec: DagSpec, path: Path, *, base: Path, stat: os.stat_result) -> IndexEntry:
    """What the index says of one file."""
    # Readers of the index (`cis dag ps`) do without pydantic, which takes longer to load than they have.
    from dag_factory.spec import resolve_agents

    agents = tuple(
        IndexedAgent(agent.id, agent.type or "", position, agent.deps)
        for position, agent in enumerate(resolve_agents(spec), start=1)
    )
    return IndexEntry(spec.name, str(path), stat.st_mtime_ns, stat.st_size, str(base), agents)


def write_index(folder: Path, entries: Iterable[IndexEntry]) -> None:
    """Put the index of a folder in the place of the last one, if it has changed. Never raises."""
    encode = msgspec.json.encode
    lines = [
        b"%s\t%s\n" % (_key(entry.dag_id), encode(entry)) for entry in sorted(entries, key=lambda e: e.dag_id)
    ]
    data = b"\n" + b"".join(lines)
    target = index_file(folder)
    try:
        if target.exists() and target.read_bytes() == data:
            return
        private_folder(target.parent)
        write_atomic(target, data)
    except (OSError, CisError) as error:
        log.debug("the index of %s could not be written: %s", folder, error)


def find_entry(folder: Path, dag_id: str) -> IndexEntry | None:
    """The entry of one DAG; nothing when there is none, or no index. Reads one line."""
    try:
        with (
            index_file(folder).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            start = data.find(b"\n" + _key(dag_id) + b"\t")
            if start < 0:
                return None
            start = data.find(b"\t", start) + 1
            return _decode(data[start : data.find(b"\n", start)])
    except (OSError, ValueError):
        return None


def read_index(folder: Path) -> dict[str, IndexEntry]:
    """All entries, by DAG id; empty when there is no index."""
    try:
        lines = index_file(folder).read_bytes().split(b"\n")
    except OSError:
        return {}
    entries = (_decode(line.partition(b"\t")[2]) for line in lines if line)
    return {entry.dag_id: entry for entry in entries if entry is not None}


def _key(dag_id: str) -> bytes:
    return json.dumps(dag_id).encode()


def _decode(line: bytes) -> IndexEntry | None:
    try:
        return msgspec.json.decode(line, type=IndexEntry)
    except msgspec.MsgspecError:
        return None
