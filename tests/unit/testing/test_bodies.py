"""What goes over the wire, beside what the vendors' references show."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.testing.model_server import anthropic, openai_chat, openai_responses
from cis_provider.testing.model_server.asked import Offered, Reply, pieces, shell_call
from cis_provider.testing.model_server.steps import Call, Usage

USAGE = Usage(input=50, output=7, cached=30)
REPLY = Reply(text="I look.", calls=(Call("Bash", {"command": "ls"}),), usage=USAGE, serial="s")

ANTHROPIC = {
    "model": "m",
    "max_tokens": 1000,
    "stream": True,
    "system": [{"type": "text", "text": "You code."}],
    "tools": [{"name": "Bash", "input_schema": {"properties": {"command": {"type": "string"}}}}],
    "messages": [
        {"role": "user", "content": "List the files"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a.txt"}]},
    ],
}
CHAT = {
    "model": "m",
    "max_tokens": 1000,
    "stream": True,
    "tools": [
        {
            "type": "function",
            "function": {"name": "Bash", "parameters": {"properties": {"command": {"type": "string"}}}},
        }
    ],
    "messages": [
        {"role": "system", "content": "You code."},
        {"role": "user", "content": [{"type": "text", "text": "List the files"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "t", "content": "a.txt"},
    ],
}
RESPONSES = {
    "model": "m",
    "max_output_tokens": 1000,
    "stream": True,
    "instructions": "You code.",
    "tools": [
        {"type": "function", "name": "Bash", "parameters": {"properties": {"command": {"type": "string"}}}}
    ],
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files"}]},
        {"type": "function_call", "call_id": "t", "name": "Bash", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t", "output": "a.txt"},
    ],
}
APIS = [(anthropic, ANTHROPIC), (openai_chat, CHAT), (openai_responses, RESPONSES)]


@pytest.mark.parametrize(("api", "body"), APIS)
def test_a_call_means_the_same_in_every_api(api: ModuleType, body: dict[str, Any]):
    asked = api.read(body)
    assert (asked.model, asked.stream, asked.max_tokens) == ("m", True, 1000)
    assert asked.system.strip() == "You code."
    assert asked.last_user == "List the files"
    assert asked.tool_results == "a.txt"
    assert asked.tools == (Offered("Bash", "function", {"command": {"type": "string"}}),)
    for words in ("You code.", "List the files", "a.txt"):
        assert words in asked.everything


@pytest.mark.parametrize(("api", "body"), APIS)
def test_results_of_tools_of_an_earlier_turn_are_not_of_this_call(api: ModuleType, body: dict[str, Any]):
    name = "input" if "input" in body else "messages"
    asked = api.read({**body, name: [*body[name], {"role": "user", "content": "Thanks. And now?"}]})
    assert asked.last_user == "Thanks. And now?"
    assert asked.tool_results == ""


def test_anthropic_answers_in_one_piece():
    assert anthropic.message(REPLY, anthropic.read(ANTHROPIC)) == {
        "id": "msg_s",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_s_0", "name": "Bash", "input": {"command": "ls"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 30,
            "output_tokens": 7,
        },
    }


def test_anthropic_streams_events_whose_names_are_their_types():
    events = list(anthropic.events(REPLY, anthropic.read(ANTHROPIC)))
    assert all(event.name == event.data["type"] for event in events)
    names = [event.name for event in events]
    assert names[:2] == ["message_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    started = events[0].data["message"]
    assert (started["content"], started["stop_reason"], started["usage"]["input_tokens"]) == ([], None, 20)
    blocks = [event.data["content_block"] for event in events if event.name == "content_block_start"]
    assert blocks == [
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "toolu_s_0", "name": "Bash", "input": {}},
    ]
    deltas = [event.data["delta"] for event in events if event.name == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "I look."
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "ls"}
    assert events[-2].data["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2].data["usage"]["output_tokens"] == 7


def test_an_anthropic_event_on_the_wire():
    last = list(anthropic.events(REPLY, anthropic.read(ANTHROPIC)))[-1]
    assert last.encode() == b'event: message_stop\ndata: {"type": "message_stop"}\n\n'


def test_an_empty_answer_of_anthropic_has_no_content():
    message = anthropic.message(Reply(text=""), anthropic.read(ANTHROPIC))
    assert (message["content"], message["stop_reason"]) == ([], "end_turn")


def test_chat_answers_in_one_piece():
    answer = openai_chat.completion(REPLY, openai_chat.read(CHAT))
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "I look.",
                "refusal": None,
                "tool_calls": [
                    {
                        "id": "call_s_0",
                        "type": "function",
                        "function": {"name": "Bash", "arguments": '{"command": "ls"}'},
                    }
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert answer["usage"]["prompt_tokens"] == 50
    assert answer["usage"]["total_tokens"] == 57
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 30}


def test_chat_streams_chunks_that_add_up():
    body = {**CHAT, "stream_options": {"include_usage": True}}
    events = list(openai_chat.events(REPLY, openai_chat.read(body)))
    assert events[-1].encode() == b"data: [DONE]\n\n"
    chunks = [event.data for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 7)
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert choices[-1]["finish_reason"] == "tool_calls"
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "I look."
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", [])]
    assert calls[0] == {
        "index": 0,
        "id": "call_s_0",
        "type": "function",
        "function": {"name": "Bash", "arguments": ""},
    }
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"command": "ls"}


def test_chat_says_what_it_used_only_when_asked():
    events = list(openai_chat.events(REPLY, openai_chat.read(CHAT)))
    assert not any("usage" in event.data for event in events)


def test_responses_answer_in_one_piece():
    answer = openai_responses.response(REPLY, openai_responses.read(RESPONSES))
    assert (answer["object"], answer["status"]) == ("response", "completed")
    message, call = answer["output"]
    assert message["content"] == [{"type": "output_text", "text": "I look.", "annotations": []}]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "Bash", '{"command": "ls"}')
    assert answer["usage"]["input_tokens_details"] == {"cached_tokens": 30}
    assert answer["usage"]["total_tokens"] == 57


def test_responses_stream_numbered_events_and_end_with_the_whole():
    asked = openai_responses.read(RESPONSES)
    events = list(openai_responses.events(REPLY, asked))
    assert all(event.name == event.data["type"] for event in events)
    assert [event.data["sequence_number"] for event in events] == list(range(len(events)))
    names = [event.name for event in events]
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names[-1] == "response.completed"
    assert events[0].data["response"]["output"] == []
    assert events[-1].data["response"] == openai_responses.response(REPLY, asked)
    done = [event.data["item"] for event in events if event.name == "response.output_item.done"]
    assert done == events[-1].data["response"]["output"]
    said = "".join(event.data["delta"] for event in events if event.name == "response.output_text.delta")
    assert said == "I look."


def test_a_custom_tool_gets_its_text_unwrapped():
    asked = openai_responses.read({**RESPONSES, "tools": [{"type": "custom", "name": "apply_patch"}]})
    reply = Reply(text="", calls=(Call("apply_patch", {"input": "*** Begin Patch"}),))
    (item,) = openai_responses.response(reply, asked)["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin Patch")


@pytest.mark.parametrize(("api", "body"), APIS)
@given(words=st.text(max_size=300), calls=st.integers(0, 3))
def test_the_chunks_of_a_stream_hold_everything(
    api: ModuleType, body: dict[str, Any], words: str, calls: int
):
    made = tuple(Call("Bash", {"command": words, "number": number}) for number in range(calls))
    events = list(api.events(Reply(text=words, calls=made), api.read(body)))
    assert json.dumps([event.data for event in events])
    wire = b"".join(event.encode() for event in events)
    assert wire.count(b"\n\n") == len(events)
    assert any(event.content for event in events) == bool(words or calls)


@given(st.text())
def test_pieces_are_the_text_in_few_parts(words):
    found = pieces(words)
    assert "".join(found) == words
    assert len(found) <= max(64, len(words.split(" ")))


def test_a_long_text_comes_in_at_most_64_pieces():
    assert len(pieces("x" * 1_000_000)) <= 64


@pytest.mark.parametrize(
    ("offered", "arguments"),
    [
        (Offered("Bash", properties={"command": {"type": "string"}}), {"command": "ls"}),
        (Offered("exec_command", properties={"cmd": {"type": "string"}}), {"cmd": "ls"}),
        (
            Offered("shell", properties={"command": {"type": "array"}}),
            {"command": ["bash", "-lc", "ls"]},
        ),
        (
            Offered("bash", properties={"command": {"type": "string"}, "description": {}}),
            {"command": "ls", "description": "Run a command"},
        ),
    ],
)
def test_a_command_is_run_with_the_tool_that_is_offered(offered, arguments):
    assert shell_call("ls", (Offered("Read"), offered)) == Call(offered.name, arguments)


def test_a_command_without_a_shell_tool_names_the_tools():
    with pytest.raises(LookupError, match="Read, Edit"):
        shell_call("ls", (Offered("Read"), Offered("Edit")))
