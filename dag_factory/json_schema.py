"""The format of CIS files as a JSON schema, for editors; made of the models that judge the files."""

from __future__ import annotations

from typing import Any

from dag_factory.spec import ALIASES, DagSpec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def cis_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a CIS file: a mapping with ``agents``, or a bare list of agents."""
    models = DagSpec.model_json_schema(by_alias=True)
    definitions = models.pop("$defs")
    _allow_other_name(definitions["AgentSpec"], "prompt")
    _allow_other_name(models, "name")
    models["required"].remove("name")
    definitions["CisFile"] = models
    agents = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/AgentSpec"}}
    return {
        "$schema": _DIALECT,
        "title": "CIS file",
        "anyOf": [{"$ref": "#/$defs/CisFile"}, agents],
        "$defs": definitions,
    }


def _allow_other_name(model: dict[str, Any], name: str) -> None:
    """A key may stand under either of its names, but not under both."""
    other = ALIASES[name]
    model["properties"][other] = {**model["properties"][name], "description": f"The same as {name}"}
    if name == "prompt":
        model["required"].remove(name)
        model["oneOf"] = [{"required": [name]}, {"required": [other]}]
    else:
        model["not"] = {"required": [name, other]}
