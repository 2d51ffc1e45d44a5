"""
Settings of a node: ``$CIS_HOME/config.toml``, or ``CIS_...`` in the environment, which wins.

``dag.local.max_workers`` stands under ``[dag.local]`` in the file and is ``CIS_DAG_LOCAL_MAX_WORKERS`` in
the environment. Few on purpose: what a DAG should decide stands in its CIS file.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import Any

from cis_provider.errors import ConfigError
from cis_provider.paths import config_file


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, default and meaning. The default's type is the setting's."""

    name: str
    default: int | float | str
    meaning: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "CIS_" + self.name.upper().replace(".", "_")


@dataclass(frozen=True)
class Value:
    """A setting's value and where it was read: ``default``, the file's path, or ``$VARIABLE``."""

    value: int | float | str
    source: str


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("dag.local.max_workers", 16, "Agents at work at once on this node, over all scopes."),
        Setting("worker.idle_exit", 300.0, "Seconds without a session after which a scope worker leaves."),
        Setting("node.keep_days", 14.0, "Days for which ended sessions and unused workspaces are kept."),
        Setting("airflow.url", "", "Address of the Airflow that `cis` talks to; empty: the embedded one."),
        Setting("airflow.user", "", "User name there."),
        Setting("airflow.password", "", "Password there."),
        Setting("airflow.token", "", "Bearer token there; takes the place of user and password."),
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
    found = _in_file(setting)
    if found is None:
        return Value(setting.default, "default")
    return Value(_convert(setting, found, str(config_file())), str(config_file()))


def integer(name: str) -> int:
    """Value of a whole-number setting."""
    return int(resolve(name).value)


def seconds(name: str) -> float:
    """Value of a setting that is a number with a fraction."""
    return float(resolve(name).value)


def text(name: str) -> str:
    """Value of a text setting."""
    return str(resolve(name).value)


def _in_file(setting: Setting) -> Any:
    path = config_file()
    try:
        here: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no TOML: {error}") from None
    for part in setting.name.split("."):
        if not isinstance(here, dict):
            raise ConfigError(f"{path}: [{setting.name.rpartition('.')[0]}] must be a table")
        if part not in here:
            return None
        here = here[part]
    return here


def _convert(setting: Setting, value: Any, source: str) -> int | float | str:
    kind = type(setting.default)
    try:
        if isinstance(value, dict | list | bool):
            raise ValueError
        converted: int | float | str = kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{source}: {setting.name} = {value!r} is no {kind.__name__}") from None
    if not isinstance(converted, str) and converted <= 0:
        raise ConfigError(f"{source}: {setting.name} = {value!r} must be above zero")
    return converted
