"""Questions that an agent asks by a form (``elicitation/create``): one blockage per field. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from cis_provider.errors import InvalidAnswer
from cis_provider.model.blockage import Answer, Option

#: Id of the option that we add to each field: no answer.
SKIP = "skip"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """
    One question of a form.

    :param many: Several of the options may be chosen: their labels, separated by commas, as text.
    :param own_words: Words are an answer, too, where there are choices.
    """

    key: str
    title: str
    detail: str = ""
    type: str = "string"
    choices: tuple[tuple[str, str], ...] = ()
    many: bool = False
    own_words: bool = False

    @property
    def options(self) -> tuple[Option, ...]:
        """What a human can choose. Ids are the values themselves."""
        yes_no = (("true", "yes"), ("false", "no")) if self.type == "boolean" else ()
        offered = tuple(Option(value, label) for value, label in self.choices or yes_no)
        return (*offered, Option(SKIP, "Skip", "reject_once"))

    @property
    def free_text(self) -> bool:
        """Whether words of one's own are an answer."""
        return self.many or self.own_words or not (self.choices or self.type == "boolean")

    def value(self, answer: Answer) -> Any:
        """
        The field's value; ``None``: skipped.

        :raises InvalidAnswer: It is not among the choices, or no number where one is asked for.
        """
        if answer.option == SKIP:
            return None
        given = answer.option or answer.text.strip()
        if self.many:
            return [self._choice(one.strip()) for one in ([given] if answer.option else given.split(","))]
        if self.choices:
            return self._choice(given)
        if self.type == "boolean":
            return given == "true"
        return self._number(given) if self.type in ("number", "integer") else given

    def _choice(self, given: str) -> str:
        for value, label in self.choices:
            if given in (value, label):
                return value
        if self.own_words:
            return given
        labels = ", ".join(label for _, label in self.choices)
        raise InvalidAnswer(f"{given!r} is no answer to {self.title!r}; it takes: {labels}")

    def _number(self, given: str) -> float | int:
        try:
            return int(given) if self.type == "integer" else float(given)
        except ValueError:
            raise InvalidAnswer(f"{given!r} is no answer to {self.title!r}; it takes a number") from None


def fields_of(request: dict[str, Any]) -> list[Field]:
    """The questions of a form, in order."""
    schema = request.get("requestedSchema") or {}
    properties = schema.get("properties") or {}
    message = str(request.get("message") or "")
    titles = message.splitlines() if len(message.splitlines()) == len(properties) else []
    return [
        field_of(key, one if isinstance(one, dict) else {}, titles[number] if titles else message)
        for number, (key, one) in enumerate(properties.items())
    ]


def field_of(key: str, schema: dict[str, Any], message: str = "", *, own_words: bool = False) -> Field:
    """One property of a form."""
    many = schema.get("type") == "array"
    source = (schema.get("items") or {}) if many else schema
    listed = source.get("oneOf") or source.get("anyOf") or []
    choices = [(str(one.get("const", "")), str(one.get("title") or one.get("const", ""))) for one in listed]
    choices = choices or [(str(one), str(one)) for one in source.get("enum") or []]
    explained = [
        f"- {one.get('title') or one.get('const')}: {one['description']}"
        for one in listed
        if one.get("description")
    ]
    about = [str(schema.get("description") or ""), *explained]
    return Field(
        key=key,
        title=message or str(schema.get("title") or key),
        detail="\n".join(line for line in about if line),
        type=str(schema.get("type") or "string"),
        choices=tuple(choices),
        many=many,
        own_words=own_words,
    )
