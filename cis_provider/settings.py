"""
Settings of a node: ``$CIS_HOME/config.toml``, or ``CIS_...`` in the environment, which wins.

``dag.local.max_workers`` stands under ``[dag.local]`` in the file and is ``CIS_DAG_LOCAL_MAX_WORKERS`` in
the environment. Few on purpose: what a DAG should decide stands in its CIS file.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cis_provider.errors import ConfigError
from cis_provider.paths import config_file

Scalar = int | float | str


@dataclass(frozen=True)
class Setting:
    """
    One setting: its dotted name, default and meaning. The default's type is the setting's.

    A list is written as one in the file, and with commas in the environment. A secret is shown to nobody.
    """

    name: str
    default: Scalar | tuple[str, ...]
    meaning: str
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "CIS_" + self.name.upper().replace(".", "_")


@dataclass(frozen=True)
class Value:
    """A setting's value and where it was read: ``default``, the file's path, or ``$VARIABLE``."""

    value: Scalar | tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Table:
    """Settings whose last name is anybody's: a limit for each account, say. All are whole numbers."""

    name: str
    meaning: str

    @property
    def variable(self) -> str:
        """How its names in the environment begin."""
        return "CIS_" + self.name.upper().replace(".", "_") + "_"


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "dag.local.max_workers",
            16,
            "Agents at work at once on this node, over all scopes. Read by the coordinator.",
        ),
        Setting(
            "worker.max_concurrent_tasks",
            4,
            "Agents at work at once in one scope; global has no limit. Slots of a scope's pool: the dag processor "
            "and the scheduler read it, and the coordinator where there is no pool.",
        ),
        Setting(
            "worker.scope_isolation",
            "global",
            "Scope of a DAG that names none: global, its own as project or dag_type, or its file's owner's. "
            "Read by the dag processor, as are prefixes and suffixes.",
            choices=("project", "user", "dag_type", "global"),
        ),
        Setting(
            "worker.scope_prefixes",
            ("project=proj-", "user=user-", "type=type-"),
            "How a DAG's id begins that names its scope, as KIND=PREFIX.",
        ),
        Setting(
            "worker.scope_suffixes",
            ("-nightly", "-hourly", "-daily", "-weekly", "-manual"),
            "Ends of a DAG's id that are no part of a scope's.",
        ),
        Setting("worker.max_per_node", 32, "Scope workers at a time; the one idle for longest leaves first."),
        Setting(
            "worker.stalled_after",
            300.0,
            "Seconds without a sign of life in the middle of a turn after which an agent counts as stalled; six "
            "times as many while a tool works for it.",
        ),
        Setting("worker.idle_exit", 300.0, "Seconds without a session after which a scope worker leaves."),
        Setting(
            "node.idle_exit",
            300.0,
            "Seconds without a session, worker or client after which a coordinator leaves that nobody started by hand.",
        ),
        Setting(
            "node.lease",
            3600.0,
            "Seconds for which a node goes on without a word from Airflow or anybody; nothing new begins after that.",
        ),
        Setting("node.keep_days", 14.0, "Days for which ended sessions and unused workspaces are kept."),
        Setting("airflow.url", "", "Address of the Airflow that `cis` talks to; empty: the embedded one."),
        Setting("airflow.user", "", "User name there."),
        Setting("airflow.password", "", "Password there.", secret=True),
        Setting(
            "airflow.token", "", "Bearer token there; takes the place of user and password.", secret=True
        ),
        Setting(
            "terminal.detach_key",
            "ctrl+\\",
            "The key that leaves an agent's terminal, as ctrl+ and a letter or one of [ \\ ] ^ _ @.",
        ),
        Setting("via.ssh", "ssh", "The ssh of `--via HOST`, with options of its own."),
        Setting(
            "via.command", "cis", "How `cis` is called on the other machine; a path, if it is not found."
        ),
    )
}


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("limits.runtime", "Sessions of one runtime at a time, e.g. limits.runtime.claude."),
        Table("limits.account", "Sessions of one account at a time, e.g. limits.account.work."),
    )
}


def resolve(name: str) -> Value:
    """
    A setting's value and its source.

    :raises ConfigError: The file is no TOML, or the value is of the wrong type.
    """
    setting = SETTINGS[name]
    if (text := os.environ.get(setting.variable)) is not None:
        return Value(_convert(setting, text, f"${setting.variable}"), f"${setting.variable}")
    found = _in_file(setting.name)
    if found is None:
        return Value(setting.default, "default")
    return Value(_convert(setting, found, str(config_file())), str(config_file()))


def integer(name: str) -> int:
    """Value of a whole-number setting."""
    return int(resolve(name).value)  # type: ignore[arg-type]


def seconds(name: str) -> float:
    """Value of a setting that is a number with a fraction."""
    return float(resolve(name).value)  # type: ignore[arg-type]


def text(name: str) -> str:
    """Value of a text setting."""
    return str(resolve(name).value)


def texts(name: str) -> tuple[str, ...]:
    """Value of a setting that is a list."""
    value = resolve(name).value
    assert isinstance(value, tuple)
    return value


def table(name: str) -> dict[str, Value]:
    """
    Every entry of a table, by its last name.

    In the environment a name is upper case, and whatever is no letter or digit an underscore: an entry of
    the file that looks so is overridden, any other is known by its lower case.

    :raises ConfigError: As for :func:`resolve`.
    """
    known = TABLES[name]
    path = str(config_file())
    found = _in_file(name)
    if not isinstance(found, dict | None):
        raise ConfigError(f"{path}: [{name}] must be a table")
    values = {
        last: Value(_convert(Setting(f"{name}.{last}", 1, ""), value, path), path)
        for last, value in (found or {}).items()
    }
    names = {_as_variable(last): last for last in values}
    for variable, given in os.environ.items():
        if variable.startswith(known.variable) and (tail := variable.removeprefix(known.variable)):
            last = names.get(tail, tail.lower())
            setting = Setting(f"{name}.{last}", 1, "")
            values[last] = Value(_convert(setting, given, f"${variable}"), f"${variable}")
    return values


def limits(name: str) -> dict[str, int]:
    """The numbers of a table."""
    return {last: int(value.value) for last, value in table(name).items()}  # type: ignore[arg-type]


def _as_variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def document() -> dict[str, Any]:
    """
    The file as it is; empty where there is none.

    :raises ConfigError: It is no TOML, or cannot be read.
    """
    found: dict[str, Any] = _document(config_file())
    return found


def _in_file(name: str) -> Any:
    path = config_file()
    here: Any = document()
    for part in name.split("."):
        if not isinstance(here, dict):
            raise ConfigError(f"{path}: [{name.rpartition('.')[0]}] must be a table")
        if part not in here:
            return None
        here = here[part]
    return here


def _document(path: Path) -> Any:
    try:
        stat = path.stat()
        return _parsed(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


@lru_cache(maxsize=1)
def _parsed(path: Path, *_version: int) -> Any:
    # A coordinator asks for its limits at every change of a session.
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _convert(setting: Setting, value: Any, source: str) -> Scalar | tuple[str, ...]:
    if isinstance(setting.default, tuple):
        return _convert_list(setting, value, source)
    kind = type(setting.default)
    try:
        broken = kind is int and isinstance(value, float) and not value.is_integer()
        if broken or isinstance(value, dict | list | bool):
            raise ValueError
        converted = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            f"{source}: {setting.name} = {value!r} is no {_KINDS[kind]}{_way_out(setting)}"
        ) from None
    if not isinstance(converted, str) and not converted > 0:
        raise ConfigError(f"{source}: {setting.name} = {value!r} must be above zero{_way_out(setting)}")
    if setting.choices and converted not in setting.choices:
        choices = ", ".join(setting.choices)
        raise ConfigError(f"{source}: {setting.name} = {value!r} is none of {choices}")
    return converted


def _convert_list(setting: Setting, value: Any, source: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise ConfigError(f"{source}: {setting.name} = {value!r} is no list of texts{_way_out(setting)}")


_KINDS: dict[type, str] = {int: "whole number", float: "number", str: "text"}


def _way_out(setting: Setting) -> str:
    if setting.name not in SETTINGS:  # an entry of a table, which has no default
        return "; write a number above zero, or take it away for no limit"
    default = setting.default
    return f"; without it, it is {', '.join(default) if isinstance(default, tuple) else default}"
