"""Every setting with its value and source, and what is wrong with them. Changes nothing."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cis_provider import settings
from cis_provider.errors import ConfigError
from cis_provider.paths import config_file

#: In the place of a password.
HIDDEN = "***"


class SettingLine(msgspec.Struct, frozen=True, kw_only=True):
    """
    One setting, or one entry of a table.

    :param value: As it counts; None where what was given cannot work; ``***`` where it is a secret.
    :param source: ``default``, the file's path, or ``$VARIABLE``; with a problem, empty.
    :param variable: Its name in the environment.
    :param problem: Why what was given cannot work.
    """

    name: str
    value: Any
    source: str
    variable: str
    meaning: str
    problem: str = ""


def all_settings() -> list[SettingLine]:
    """
    Every setting, and every entry of the tables.

    :raises ConfigError: The file is no TOML, or cannot be read.
    """
    settings.document()
    return [
        *map(_setting, settings.SETTINGS.values()),
        *(line for table in settings.TABLES.values() for line in _entries(table)),
    ]


def mistakes(lines: list[SettingLine]) -> list[str]:
    """
    What is wrong: values that cannot work, and names that nobody reads.

    :param lines: What :func:`all_settings` found.
    """
    wrong = [line.problem for line in lines if line.problem]
    wrong += _unknown_in_file()
    wrong += _unknown_in_environment(os.environ)
    if not wrong and (problem := _problem_of_scopes()):
        wrong.append(problem)
    return list(dict.fromkeys(wrong))


def shown(value: Any) -> str:
    """A value for people."""
    return ", ".join(value) if isinstance(value, list | tuple) else "" if value is None else str(value)


def near(name: str) -> str:
    """``; did you mean "x"?``, or nothing."""
    found = difflib.get_close_matches(name, [*settings.SETTINGS, *settings.TABLES], n=1, cutoff=0.6)
    return f'; did you mean "{found[0]}"?' if found else ""


def _setting(setting: settings.Setting) -> SettingLine:
    try:
        found = settings.resolve(setting.name)
    except ConfigError as error:
        # What was given may be a password that stands in the wrong place.
        problem = str(error) if not setting.secret else f"{setting.name} is no text"
        return _line(setting.name, None, "", setting.variable, setting.meaning, problem)
    value = HIDDEN if setting.secret and found.value else found.value
    return _line(setting.name, value, found.source, setting.variable, setting.meaning)


def _entries(table: settings.Table) -> Iterator[SettingLine]:
    try:
        found = settings.table(table.name)
    except ConfigError as error:
        yield _line(table.name, None, "", f"{table.variable}...", table.meaning, str(error))
        return
    if not found:
        yield _line(table.name, None, "default", f"{table.variable}...", table.meaning)
    for last, value in sorted(found.items()):
        variable = settings.Setting(f"{table.name}.{last}", 1, "").variable
        yield _line(f"{table.name}.{last}", value.value, value.source, variable, table.meaning)


def _line(name: str, value: Any, source: str, variable: str, meaning: str, problem: str = "") -> SettingLine:
    return SettingLine(
        name=name, value=value, source=source, variable=variable, meaning=meaning, problem=problem
    )


def _unknown_in_file() -> Iterator[str]:
    for name in _names(settings.document()):
        if name not in settings.SETTINGS and not name.startswith(tuple(f"{one}." for one in settings.TABLES)):
            yield f"{config_file()}: there is no setting {name!r}{near(name) or _all()}"


def _names(document: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Dotted names of all values. Not into a known table: there, any name is good."""
    for name, value in document.items():
        full = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            yield from _names(value, f"{full}.")
        elif not isinstance(value, Mapping):
            yield full


def _unknown_in_environment(environment: Mapping[str, str]) -> Iterator[str]:
    known = {setting.variable: name for name, setting in settings.SETTINGS.items()}
    tables = tuple(table.variable for table in settings.TABLES.values())
    groups = {variable.rpartition("_")[0] for variable in tables}
    groups |= {_group(setting) for setting in settings.SETTINGS.values()}
    for variable in sorted(environment):
        if variable in known or variable.startswith(tables):
            continue
        if variable.startswith(tuple(f"{group}_" for group in groups)):
            close = difflib.get_close_matches(variable, known, n=1, cutoff=0.6)
            yield f"${variable}: there is no such setting" + (
                f'; did you mean "{close[0]}"?' if close else _all()
            )


def _group(setting: settings.Setting) -> str:
    """How the variables of its neighbours begin: ``CIS_WORKER``."""
    return "CIS_" + setting.name.rpartition(".")[0].upper().replace(".", "_")


def _all() -> str:
    return "; `cis config list` shows all"


def _problem_of_scopes() -> str:
    """What only the reader of CIS files can judge."""
    from dag_factory.scope_settings import read_rules

    return read_rules().problem
