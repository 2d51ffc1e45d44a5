"""Which calls use no step. Texts and shapes as the programs sent them."""

from __future__ import annotations

import json

import pytest

from cis_provider.testing.model_server import anthropic, openai_chat, openai_responses, side

TITLE = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
TOOL = {"name": "Bash", "input_schema": {"properties": {}}}


def messages(words: str, **fields: object) -> dict[str, object]:
    """A request of Anthropic's."""
    return {
        "model": "claude-opus-5-5",
        "max_tokens": 32000,
        "messages": [{"role": "user", "content": words}],
        **fields,
    }


def chat(system: str, words: str, **fields: object) -> dict[str, object]:
    """A request of OpenAI's chat completions."""
    said = [{"role": "system", "content": system}, {"role": "user", "content": words}]
    return {"model": "m", "messages": said, **fields}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (messages("quota", max_tokens=1), "probe"),
        (messages("quota", max_tokens=1, tools=[TOOL]), "probe"),
        (messages("Sort it", output_config={"format": {"type": "json_schema", "schema": TITLE}}), "title"),
        (messages("Sort it", system="Generate a short kebab-case name (2-4 words) that"), "title"),
        (messages("Page: ...", model="claude-haiku-4-5"), "small model"),
        (messages("[SUGGESTION MODE: Suggest what the user might type next]", tools=[TOOL]), "suggestion"),
        (messages("Do it", model="claude-haiku-4-5", tools=[TOOL]), None),
        (messages("Do it", tools=[TOOL]), None),
        (messages("Do it"), None),
    ],
)
def test_calls_of_claude_code(body, why):
    assert side.reason(anthropic.read(body), body) == why


def test_codex_asks_for_a_title():
    words = "Generate a concise, single-line task title of at most 36 characters.\n\nUser prompt:\nSort it"
    body = {
        "model": "m",
        "instructions": "",
        "input": [
            {"role": "developer", "content": [{"type": "input_text", "text": "You are a coding agent"}]},
            {"role": "user", "content": [{"type": "input_text", "text": words}]},
        ],
        "tools": [],
        "text": {"format": {"type": "json_schema", "schema": TITLE}},
    }
    why = side.reason(openai_responses.read(body), body)
    assert why == "title"
    assert set(json.loads(side.answer(why, body))) == {"title"}
    shell = {"type": "function", "name": "exec_command", "parameters": {}}
    work = {**body, "tools": [shell]}
    assert side.reason(openai_responses.read(work), work) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (chat("You are a title generator. You output ONLY a thread title.", "Sort it"), "title"),
        (chat("You generate concise,\none-line Git commit messages", "diff"), "commit message"),
        (chat("*Briefly* summarize this partial conversation about programming.", "..."), "history"),
        # Aider has no tools at all: such calls are its work.
        (chat("Act as an expert software developer.", "Sort it"), None),
        (chat("You are Kimi", "Sort it", tools=[{"type": "function", "function": {"name": "Bash"}}]), None),
    ],
)
def test_calls_of_opencode_aider_and_kimi(body, why):
    assert side.reason(openai_chat.read(body), body) == why


def test_a_prompt_that_quotes_a_side_call_is_work():
    words = 'Why does the program send "You are a title generator"?'
    body = chat("You are Kimi", words, tools=[{"type": "function", "function": {"name": "Bash"}}])
    assert side.reason(openai_chat.read(body), body) is None


def test_a_side_call_with_a_schema_gets_what_fits():
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "is_new": {"type": "boolean"},
            "count": {"type": "integer"},
            "tags": {"type": "array"},
            "kind": {"enum": ["a", "b"]},
        },
    }
    body = chat("", "", response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    assert json.loads(side.answer("title", body)) == {
        "title": "A scripted task",
        "is_new": False,
        "count": 0,
        "tags": [],
        "kind": "a",
    }
