"""``--param``."""

from __future__ import annotations

from typing import Any

import pytest

from cis_provider.cli.params import parse_pairs, typed
from cis_provider.errors import UsageError


def param(default: Any = None, **schema: Any) -> dict[str, Any]:
    return {"value": default, "schema": schema}


@pytest.mark.parametrize(
    ("text", "known", "value"),
    [
        ("3", param(type="integer"), 3),
        ("3", param(type="string"), "3"),
        ("3", param(type=["string", "null"]), "3"),
        ("null", param(type=["string", "null"]), None),
        ("3", param(type="number"), 3),
        ("true", param(type="boolean"), True),
        ('["a"]', param(type="array"), ["a"]),
        ("main", param(type="integer"), "main"),  # Airflow says why not
        ("3", param(default="2"), "3"),
        ("3", param(default=2), 3),
        ("a=b c", param(default="x"), "a=b c"),
        ("main", param(), "main"),
        ("", param(type="string"), ""),
    ],
)
def test_a_value_gets_the_type_that_the_dag_wants(text: str, known: dict[str, Any], value: Any) -> None:
    assert typed({"p": text}, {"p": known}) == {"p": value}


def test_an_unknown_param_comes_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"--param brnch: .*did you mean 'branch'.*has branch, depth"):
        typed({"brnch": "x"}, {"branch": param(), "depth": param()})


@pytest.mark.parametrize("pairs", [["branch"], ["=x"], ["a=1", "a=2"]])
def test_pairs_that_are_none_are_refused(pairs: list[str]) -> None:
    with pytest.raises(UsageError, match="--param"):
        parse_pairs(pairs)


def test_a_value_may_hold_equals_signs() -> None:
    assert parse_pairs(["query=a=b", "empty="]) == {"query": "a=b", "empty": ""}
