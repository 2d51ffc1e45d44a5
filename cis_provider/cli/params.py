"""``--param K=V`` as values that a DAG's params take. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cis_provider.cli.runs import suggestion
from cis_provider.errors import UsageError


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """
    ``["repo=.", "depth=2"]`` as a mapping.

    :raises UsageError: One has no ``=``, or a name comes twice.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {pair!r}: write NAME=VALUE")
        if name in given:
            raise UsageError(f"--param {name} is given twice")
        given[name] = value
    return given


def typed(given: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """
    The values in the types that the DAG wants.

    :param known: The DAG's params as Airflow tells them: ``{name: {"value": ..., "schema": {...}}}``.
    :raises UsageError: There is no param of that name.
    """
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            names = ", ".join(known) if known else "none"
            raise UsageError(f"--param {name}: no such param{suggestion(name, known)}; the DAG has {names}")
        values[name] = _typed(text, known[name])
    return values


def _typed(text: str, param: Any) -> Any:
    schema = param.get("schema") or {} if isinstance(param, Mapping) else {}
    default = param.get("value") if isinstance(param, Mapping) else None
    wanted = schema.get("type")
    kinds = {wanted} if isinstance(wanted, str) else set(wanted or ())
    if not kinds and default is not None:
        kinds = {_kind(default)}
    if kinds == {"string"}:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # "3" for a param that is text or nothing: text was meant, and nothing is written null.
    return text if kinds and _kind(value) not in _accepted(kinds) and "string" in kinds else value


def _accepted(kinds: set[str]) -> set[str]:
    return kinds | {"integer"} if "number" in kinds else kinds


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    ):
        if isinstance(value, kind):
            return name
    return "object"
