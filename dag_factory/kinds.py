"""The kinds of values that keys of a CIS file have, each with its JSON schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from dag_factory import values

_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {
            "type": "string",
            "pattern": r"^([0-9]+|(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?|.*\$\{.+)$",
        },
    ],
    "description": "Seconds, or a text such as 5m, 1h30m, 2d",
}
_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": values.MAX_NAME_BYTES}
_WHOLE_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^([0-9]+|.*\$\{.+)$"}]
}
_ENV_SCHEMA = {
    "type": "object",
    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}

_SCOPE_SCHEMA = {
    "type": "string",
    "pattern": r"^(global|(project|user|type):.+|.*(\{\{|\{%|\$\{).*)$",
    "examples": ["project:my-app", "user:anna", "type:backup", "global"],
}

_AMOUNT_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?|.*\$\{.+)$"},
    ]
}
_WORDS_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string"}},
    ],
    "description": "Program and arguments; text is split as a shell would",
}

Name = Annotated[str, BeforeValidator(values.name), WithJsonSchema(_NAME_SCHEMA)]
Scope = Annotated[str, BeforeValidator(values.scope), WithJsonSchema(_SCOPE_SCHEMA)]
Account = Annotated[str, BeforeValidator(values.account)]
Duration = Annotated[float, BeforeValidator(values.duration), WithJsonSchema(_DURATION_SCHEMA)]
Count = Annotated[int, BeforeValidator(values.whole), Field(ge=0), WithJsonSchema(_WHOLE_SCHEMA)]
Positive = Annotated[int, BeforeValidator(values.whole), Field(ge=1), WithJsonSchema(_WHOLE_SCHEMA)]
Switch = Annotated[bool, BeforeValidator(values.switch), WithJsonSchema({"type": "boolean"})]
Env = Annotated[dict[str, str], BeforeValidator(values.env), WithJsonSchema(_ENV_SCHEMA)]
Amount = Annotated[float, BeforeValidator(values.amount), Field(ge=0), WithJsonSchema(_AMOUNT_SCHEMA)]
Words = Annotated[tuple[str, ...], BeforeValidator(values.words), WithJsonSchema(_WORDS_SCHEMA)]
Schema = Annotated[dict[str, Any], BeforeValidator(values.json_schema), WithJsonSchema({"type": "object"})]
Priority = Literal["p0", "p1", "p2", "p3"]
When = Literal["success", "failure", "always"]


class Model(BaseModel):
    """Base of all mappings of a file: unknown keys are refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
