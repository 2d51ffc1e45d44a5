"""One value of a CIS file: what it may be, and what is said where it is something else."""

from __future__ import annotations

import math
import re
import shlex
from typing import Any

from pydantic_core import PydanticCustomError

from cis_provider.errors import ConfigError
from cis_provider.model.duration import parse_duration
from cis_provider.model.scope import TaskScope
from dag_factory.scopes import is_template

#: Names of DAGs and agents end up in pools (256 characters) and in file names (255 bytes).
MAX_NAME_BYTES = 200
_NAME = re.compile(r"\w[\w.-]*")
_RESERVED = re.compile(
    "CIS_(?:(?:SESSION|DAG|RUN|AGENT)_ID|SCOPE|WORKER|TRY_NUMBER|BASE|INPUTS|OUTPUT|OUTPUT_.*|WORKSPACE|WORKSPACE_.*)"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT = re.compile(r"\w[\w.@+-]{0,99}")


def check_name(value: str) -> str:
    """
    :raises ValueError: Airflow, or a file system, would refuse it as the id of a DAG or task.
    """
    if not _NAME.fullmatch(value):
        raise ValueError(
            f'"{value}" is no valid id: letters, digits, "_", "-" and "."; the first no "-" or "."'
        )
    if len(value.encode()) > MAX_NAME_BYTES:
        raise ValueError(f'"{value[:20]}..." is too long for an id: {MAX_NAME_BYTES} bytes at most')
    return value


def is_name(value: Any) -> bool:
    """Whether a value can be the id of a DAG."""
    try:
        return isinstance(value, str) and bool(check_name(value))
    except ValueError:
        return False


def name(value: Any) -> Any:
    """The id of a DAG or an agent, or the name of a node."""
    if isinstance(value, str):
        try:
            return check_name(value)
        except ValueError as error:
            raise _problem("F106", str(error)) from None
    return value


def scope(value: Any) -> Any:
    """A scope in the one form it has, or a template of one."""
    if not isinstance(value, str):
        return value
    try:
        if not is_template(value):
            return str(TaskScope.parse(value))
        kind, colon, _ = re.split(r"\{[{%]", value, maxsplit=1)[0].partition(":")
        if colon:
            TaskScope.parse(f"{kind}:x")
    except ConfigError as error:
        raise _problem("F111", str(error)) from None
    return value


def account(value: Any) -> Any:
    """The name of an account."""
    if isinstance(value, str) and not _ACCOUNT.fullmatch(value):
        text = f'"{value[:40]}" is no name of an account: letters, digits, "_", "-", ".", "@" and "+"'
        raise _problem("F106", text)
    return value


def duration(value: Any) -> float:
    """Seconds, of a number or a text such as ``5m``."""
    if isinstance(value, int | float | str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise _problem("F104", str(error)) from None
    raise _problem("F104", "must be a duration, such as 300, 5m or 1h30m")


def whole(value: Any) -> int:
    """A whole number. Also of text, because ``${NAME}`` gives text."""
    # A bool is an int to Python, but not to a person.
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,9}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _problem("F103", f"must be a whole number, not {shown(value)}")


def amount(value: Any) -> float:
    """A number that may have a fraction. Also of text, because ``${NAME}`` gives text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise _problem("F103", f"must be a number, not {shown(value)}")


def words(value: Any) -> Any:
    """A program and its arguments: a list, or text that is split as a shell would."""
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise _problem("F103", f"cannot be split into words: {str(error).lower()}") from None
    if isinstance(value, list | tuple) and (not value or value[0] == ""):
        raise _problem("F103", "must name a program")
    return value


def json_schema(value: Any) -> Any:
    """A JSON schema (2020-12) in which nothing is wrong."""
    if isinstance(value, dict):
        import jsonschema

        try:
            jsonschema.Draft202012Validator.check_schema(value)
        except jsonschema.SchemaError as error:
            where = "".join(f"[{key!r}]" for key in error.path)
            raise _problem(
                "F103", f"is no JSON schema: {where}{': ' if where else ''}{error.message}"
            ) from None
    return value


def switch(value: Any) -> bool:
    """True or false. Also of text, because ``${NAME}`` gives text."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, bool):
        return value
    raise _problem("F103", f"must be true or false, not {shown(value)}")


def env(value: Any) -> Any:
    """Variables; their values are judged elsewhere."""
    if isinstance(value, dict):
        for name in value:
            if not _VARIABLE.fullmatch(str(name)):
                raise _problem("F106", f'"{name}" is no name of a variable: letters, digits and "_" only')
            if _RESERVED.fullmatch(str(name)):
                raise _problem("F106", f'"{name}" is set for every agent, to something else')
    return value


def _problem(code: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{text}", {"text": message})


def shown(value: Any) -> str:
    """A value, short enough for a message."""
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing", bool: str(value).lower()}
    text = kinds.get(type(value)) or repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
