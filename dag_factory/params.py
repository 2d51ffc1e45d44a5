"""
Params of a DAG: for each name a default value, or a JSON schema that may hold ``default``.

Airflow shows them in its trigger form and checks a run's values against the schema.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

#: A mapping with one of these is a schema; any other mapping would be a default that looks like one.
_NO_DEFAULT = object()


def split_param(value: Any) -> tuple[Any, bool, str | None, dict[str, Any]]:
    """``(default, whether there is one, description, schema)`` of one entry under ``params:``."""
    if not isinstance(value, dict):
        return value, True, None, {}
    schema = {key: item for key, item in value.items() if key not in ("default", "description")}
    default = value.get("default", _NO_DEFAULT)
    has_default = default is not _NO_DEFAULT
    description = value.get("description")
    return (default if has_default else None), has_default, description, schema


def param_mistake(value: Any, *, scheduled: bool) -> tuple[tuple[str, ...], str, str] | None:
    """
    What is wrong with one entry: the keys that lead to it, the mistake, and a hint.

    :param scheduled: The DAG has a schedule: nobody will be there to fill a form.
    """
    if not isinstance(value, dict):
        return None
    return _mistake(json.dumps(value, sort_keys=True), scheduled)


@lru_cache(maxsize=512)
def _mistake(encoded: str, scheduled: bool) -> tuple[tuple[str, ...], str, str] | None:
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import SchemaError, best_match

    value = json.loads(encoded)
    default, has_default, description, schema = split_param(value)
    if description is not None and not isinstance(description, str):
        return ("description",), "must be text", ""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        path = tuple(str(part) for part in error.absolute_path)
        return path, f"no JSON schema: {error.message}", ""
    if not has_default:
        if scheduled:
            return (
                (),
                "has no default, and a DAG with a schedule starts without anybody to ask",
                "add default:",
            )
        return None
    try:
        misfit = best_match(Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(default))
    except Exception as broken:  # a $ref that leads nowhere, a pattern that is no expression
        return (), f"no JSON schema: {broken}", ""
    if misfit is None:
        return None
    if not scheduled and default is None:
        return None  # Airflow's form shows it empty, and asks for it
    return ("default",), f"the default does not fit the schema: {misfit.message}", ""
