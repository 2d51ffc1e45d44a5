"""CIS files in a folder: which files are some, and what they say. No Airflow."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dag_factory.diagnostics import Diagnostic
from dag_factory.document import parse
from dag_factory.placeholders import Lookup
from dag_factory.scope_settings import read_rules, user_name
from dag_factory.scopes import ScopeRules
from dag_factory.taken import Taken
from dag_factory.validate import Checked, check_document

SUFFIXES = (".yaml", ".yml", ".json")

log = logging.getLogger(__name__)

#: Bytes. A file is read at every parse of the loader, and its text is kept in Airflow's database.
MAX_FILE_SIZE = 1 << 20

#: How a CIS file looks that cannot be parsed: `agents:` at the top, or a list that begins with an agent.
_LOOKS = re.compile(
    r"^\ufeff?agents[ ]*:"
    r"|^\s*\{[^{}\[\]]*\"agents\"\s*:"
    r"|\A(?:\s*#.*\n|---.*\n|\s*\n)*-\s+(?:id|type)\s*:(?=[\s\S]*\b(?:id|type)\s*:)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Found:
    """
    One CIS file, read and judged.

    :param stat: Of the file when it was read; ``None`` when it could not be.
    """

    path: Path
    checked: Checked
    stat: os.stat_result | None = None


def default_name(path: Path) -> str:
    """The DAG id of a file that says none: ``refactor`` for ``refactor.yaml`` and ``refactor.cis.yaml``."""
    return path.name.removesuffix(path.suffix).removesuffix(".cis")


def candidate_files(folder: Path) -> Iterator[Path]:
    """
    Every YAML and JSON file below ``folder``, in the order of their paths. Hidden files and folders, and
    folders that were met already (links may form a circle), are left out.
    """
    seen: set[tuple[int, int]] = set()

    def walk(here: str) -> Iterator[str]:
        try:
            stat = Path(here).stat()
            with os.scandir(here) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return
        if (stat.st_dev, stat.st_ino) in seen:
            return
        seen.add((stat.st_dev, stat.st_ino))
        for entry in found:
            if entry.name.startswith("."):
                continue
            if entry.name.endswith(SUFFIXES):
                if entry.is_file():
                    yield entry.path
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from walk(entry.path)

    yield from map(Path, sorted(walk(str(folder))))


def check_file(
    path: Path,
    *,
    shown_as: str | None = None,
    lookup: Lookup = os.environ.get,
    rules: ScopeRules | None = None,
) -> Checked:
    """Judge one file that is meant to be a CIS file. Never raises: what cannot be read is a mistake, too."""
    found = read_cis_file(path, shown_as=shown_as, lookup=lookup, certain=True, rules=rules)
    assert found is not None
    return found.checked


def read_cis_file(
    path: Path,
    *,
    shown_as: str | None = None,
    lookup: Lookup = os.environ.get,
    certain: bool = False,
    rules: ScopeRules | None = None,
) -> Found | None:
    """
    Read and judge one file.

    :param shown_as: Its name in messages.
    :param certain: Take it for a CIS file, whatever is in it.
    :param rules: Settings for scopes; read now, if they were not before.
    :return: Nothing when it is no CIS file, or gone.
    """
    name = shown_as if shown_as is not None else str(path)
    certain = certain or path.name.endswith(tuple(f".cis{suffix}" for suffix in SUFFIXES))
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        mistake = Diagnostic(name, 1, 1, "F001", f"cannot be read: {error.strerror or error}")
        return Found(path, Checked(name, None, (mistake,))) if certain else None
    if not certain and b"agents" not in data and not (b"id" in data and b"type" in data):
        return None
    judge = partial(check_document, lookup=lookup, rules=rules, owner=partial(user_name, stat.st_uid))
    checked = _judge(data, path, name, judge, certain=certain)
    return Found(path, checked, stat) if checked is not None else None


def _judge(
    data: bytes, path: Path, name: str, judge: Callable[..., Checked], *, certain: bool
) -> Checked | None:
    if len(data) > MAX_FILE_SIZE:
        certain = certain or _LOOKS.search(data.decode("utf-8", "replace")) is not None
        mistake = Diagnostic(name, 1, 1, "F001", f"is larger than {MAX_FILE_SIZE} bytes")
        return Checked(name, None, (mistake,)) if certain else None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if not certain and not _LOOKS.search(data.decode("utf-8", "replace")):
            return None
        before = data[: error.start]
        line, col = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        return Checked(name, None, (Diagnostic(name, line, col, "F001", "is no UTF-8", "save it as UTF-8"),))
    document, diagnostics = parse(text, name, is_json=path.suffix == ".json")
    if not certain and not (_LOOKS.search(text) if document is None else is_cis_data(document.data)):
        return None
    if document is None:
        return Checked(name, None, tuple(diagnostics))
    try:
        return judge(document, diagnostics, name=default_name(path))
    except Exception as error:
        # A mistake of ours. It must not take the DAGs of all other files with it.
        log.exception("%s: the validator failed", name)
        mistake = Diagnostic(name, 1, 1, "F902", f"the validator failed: {type(error).__name__}: {error}")
        return Checked(name, None, (mistake,))


def is_cis_data(data: object) -> bool:
    """Whether plain data is meant as a CIS file: ``agents:`` at the top, or a list of things with id and type."""
    if isinstance(data, dict):
        return "agents" in data
    return (
        isinstance(data, list)
        and bool(data)
        and all(isinstance(item, dict) and "id" in item and "type" in item for item in data)
    )


def read_folder(folder: Path, *, lookup: Lookup = os.environ.get) -> Iterator[Found]:
    """Every CIS file below a folder. A file that contradicts another one before it is wrong."""
    taken = Taken()
    rules = read_rules()
    for path in candidate_files(folder):
        found = read_cis_file(path, lookup=lookup, rules=rules)
        if found is not None:
            yield Found(path, taken.judge(path, found.checked), found.stat)
