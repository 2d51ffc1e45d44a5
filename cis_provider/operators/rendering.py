"""How an agent's templates are filled in: strictly, and so that no value can name a secret."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2

from cis_provider.model.option_texts import Path, change_texts
from cis_provider.model.placeholders import guard, unguard

#: No script holds this: a shell's ``${#array[@]}`` must not begin a Jinja comment.
_NO_COMMENT = "\x00{#"


@contextlib.contextmanager
def guarded(operator: Any, jinja_env: jinja2.Environment) -> Iterator[jinja2.Environment]:
    """
    Take ``${NAME}`` out of an operator's ``env``, prompt and options while their templates are filled in.

    What a template puts in, a run's params for example, is text: it must not become a placeholder.

    :return: The environment to render with; an unknown name is an error there.
    """
    strict = jinja_env.overlay(undefined=jinja2.StrictUndefined)
    if operator.agent_type == "shell":
        strict.comment_start_string = _NO_COMMENT
    # An env or a prompt that is another task's output has no ${NAME} of its own yet.
    plain = operator.env if isinstance(operator.env, Mapping) else {}
    env = {name: guard(str(value)) for name, value in plain.items()}
    if env:
        operator.env = {name: text for name, (text, _) in env.items()}
    is_text = operator.agent_type != "shell" and isinstance(operator.prompt, str)
    prompt = guard(operator.prompt) if is_text else None
    if prompt:
        operator.prompt = prompt[0]
    tokens: dict[Path, list[str]] = {}
    if isinstance(operator.options, Mapping):
        operator.options = change_texts(operator.options, lambda path, text: _guard(tokens, path, text))
    yield strict
    if tokens:
        operator.options = change_texts(
            operator.options, lambda path, text: unguard(text, tokens[path]) if path in tokens else text
        )
    if env and operator.env:
        operator.env = {name: unguard(text, env[name][1]) for name, text in operator.env.items()}
    if prompt:
        operator.prompt = unguard(operator.prompt, prompt[1])
    elif operator.agent_type != "shell" and isinstance(operator.prompt, str):
        operator.prompt = unguard(operator.prompt, [])


def _guard(tokens: dict[Path, list[str]], path: Path, text: str) -> str:
    marked, tokens[path] = guard(text)
    return marked
