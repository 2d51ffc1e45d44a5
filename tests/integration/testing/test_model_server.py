"""The server by real HTTP, as the programs speak to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cis_provider.testing.model_server import (
    Call,
    ModelServer,
    cut,
    hang,
    huge,
    nonsense,
    run,
    slow,
    status,
    text,
    tool,
    tools,
)

pytestmark = pytest.mark.integration

BASH = {"name": "Bash", "input_schema": {"properties": {"command": {"type": "string"}}}}
FUNCTION = {"type": "function", "function": {"name": "bash", "parameters": {"properties": {"command": {}}}}}
EXEC = {"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {}}}}

PATHS = {"anthropic": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
TOOLS = {"anthropic": BASH, "chat": FUNCTION, "responses": EXEC}


def body(api: str, words: str = "Do it", **fields: Any) -> dict[str, Any]:
    """A model call."""
    said = [{"role": "user", "content": words}]
    return {
        "model": "m",
        "max_tokens": 1000,
        "tools": [TOOLS[api]],
        "input" if api == "responses" else "messages": said,
        **fields,
    }


def ask(server: ModelServer, api: str, words: str = "Do it", **fields: Any) -> httpx.Response:
    """Make a call and take the whole answer."""
    headers = {"x-api-key": "test-key", "authorization": "Bearer test-key", "x-app": "cli"}
    return httpx.post(server.url + PATHS[api], json=body(api, words, **fields), headers=headers, timeout=10)


def said(api: str, answer: dict[str, Any]) -> str:
    """The text of a plain answer."""
    if api == "anthropic":
        return "".join(block["text"] for block in answer["content"] if block["type"] == "text")
    if api == "chat":
        return answer["choices"][0]["message"]["content"]
    return "".join(item["content"][0]["text"] for item in answer["output"] if item["type"] == "message")


def streamed(api: str, lines: Iterator[str]) -> str:
    """The text of a streamed answer."""
    found = ""
    for line in lines:
        if not line.startswith("data: {"):
            continue
        event = json.loads(line.removeprefix("data: "))
        if api == "anthropic":
            found += event.get("delta", {}).get("text", "")
        elif api == "chat":
            found += "".join(choice["delta"].get("content", "") for choice in event["choices"])
        elif event["type"] == "response.output_text.delta":
            found += event["delta"]
    return found


@pytest.mark.parametrize("api", PATHS)
def test_steps_answer_one_call_each_and_then_the_default(api):
    with ModelServer([text("one"), text("two")], default="nothing left") as server:
        answers = [ask(server, api) for _ in range(3)]
        assert [said(api, answer.json()) for answer in answers] == ["one", "two", "nothing left"]
        assert [call.step for call in server.calls] == [0, 1, None]
        assert server.unused == []


@pytest.mark.parametrize("api", PATHS)
def test_a_stream_says_the_same(api):
    with ModelServer([text("one two three")]) as server:
        answer = ask(server, api, stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert streamed(api, iter(answer.text.splitlines())) == "one two three"
        if api == "chat":
            assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("api", PATHS)
def test_a_huge_text_arrives_whole(api):
    with ModelServer([huge(1_000_000)]) as server:
        found = streamed(api, iter(ask(server, api, stream=True).text.splitlines()))
        assert found == huge(1_000_000).text


def test_tools_are_called_in_parallel():
    with ModelServer([tools(("Bash", {"command": "a"}), Call("Read", {"path": "b"}), say="Both.")]) as server:
        message = ask(server, "anthropic").json()
    assert message["stop_reason"] == "tool_use"
    assert [block.get("name") for block in message["content"]] == [None, "Bash", "Read"]
    assert len({block.get("id") for block in message["content"]}) == 3


def test_a_command_goes_to_the_shell_tool_that_is_offered():
    with ModelServer([run("ls", repeat=3)]) as server:
        (block,) = ask(server, "anthropic").json()["content"]
        (call,) = ask(server, "chat").json()["choices"][0]["message"]["tool_calls"]
        (item,) = ask(server, "responses").json()["output"]
    assert (block["name"], block["input"]) == ("Bash", {"command": "ls"})
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "bash",
        {"command": "ls"},
    )
    assert (item["name"], json.loads(item["arguments"])) == ("exec_command", {"cmd": "ls"})


def test_a_command_that_no_tool_runs_is_told():
    with ModelServer([run("ls")]) as server:
        answer = ask(server, "anthropic", tools=[{"name": "Read"}])
        assert answer.status_code == server.calls[0].status == 400
        assert "no shell tool is offered; the tools are: Read" in answer.text


def test_a_step_may_depend_on_the_result_of_a_tool():
    steps = [tool("Bash", {"command": "ls"}), text("found", when={"tool_result_contains": "a.txt"})]
    with ModelServer(steps) as server:
        ask(server, "anthropic")
        result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a.txt"}]}
        answer = ask(server, "anthropic", messages=[{"role": "user", "content": [result]}])
        assert said("anthropic", answer.json()) == "found"


@pytest.mark.parametrize("api", PATHS)
def test_a_limit_is_told_by_status_headers_and_body(api):
    with ModelServer([status(429, retry_after=2, resets_in=60)]) as server:
        answer = ask(server, api, stream=True)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"]["message"]
    if api == "anthropic":
        left = int(answer.headers["anthropic-ratelimit-unified-reset"]) - time.time()
        assert 50 < left <= 61


@pytest.mark.parametrize(
    ("api", "mark"),
    [("anthropic", "event: error"), ("chat", '"error": {'), ("responses", "event: response.failed")],
)
def test_an_error_may_come_within_a_stream(api, mark):
    with ModelServer([status(529, in_stream=True, repeat=2)]) as server:
        answer = ask(server, api, stream=True)
        assert (answer.status_code, server.calls[0].status) == (200, 200)
        assert mark in answer.text
        assert ask(server, api).status_code == server.calls[1].status == 529


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("api", PATHS)
def test_a_call_hangs_until_it_is_released(api, stream):
    with ModelServer([hang("at last")]) as server:
        got: list[httpx.Response] = []
        caller = threading.Thread(target=lambda: got.append(ask(server, api, stream=stream)))
        caller.start()
        server.wait_until(lambda requests: bool(requests) and requests[-1].hangs)
        assert got == []
        server.release()
        caller.join(10)
    answer = got[0]
    words = streamed(api, iter(answer.text.splitlines())) if stream else said(api, answer.json())
    assert words == "at last"


def test_a_call_may_hang_in_the_middle():
    with (
        ModelServer([hang("one two three", at="middle")]) as server,
        httpx.stream("POST", server.url + PATHS["anthropic"], json=body("anthropic", stream=True)) as answer,
    ):
        lines = answer.iter_lines()
        assert "one" in next(line for line in lines if "text_delta" in line)
        server.wait_until(lambda requests: requests[-1].hangs)
        server.release()
        assert streamed("anthropic", lines) == " two three"


def test_who_leaves_is_noticed():
    with ModelServer([hang()]) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + PATHS["chat"], json=body("chat"), timeout=0.2)
        (request,) = server.wait_until(lambda requests: requests[-1].gone)
        assert not request.hangs


def test_the_end_of_the_server_cuts_what_hangs():
    server = ModelServer([hang()])
    server.start()
    failed: list[Exception] = []

    def call() -> None:
        try:
            ask(server, "anthropic")
        except httpx.HTTPError as error:
            failed.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    server.wait_for(1)
    server.stop()
    caller.join(10)
    assert isinstance(failed[0], httpx.NetworkError | httpx.RemoteProtocolError)


def test_a_slow_text_takes_its_time():
    with ModelServer([slow("one two three", every=0.1)]) as server:
        started = time.monotonic()
        with httpx.stream(
            "POST", server.url + PATHS["anthropic"], json=body("anthropic", stream=True)
        ) as answer:
            times = [time.monotonic() - started for line in answer.iter_lines() if "text_delta" in line]
    assert len(times) == 3
    assert times[0] >= 0.1
    assert times[2] - times[0] >= 0.2


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_answer_breaks_off(api, stream):
    with ModelServer([cut("one two three", after=2)]) as server:
        got = b""
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", server.url + PATHS[api], json=body(api, stream=stream)) as answer,
        ):
            for part in answer.iter_bytes():
                got += part
    assert got
    if stream:
        assert streamed(api, iter(got.decode().splitlines())) == "one two"


def test_nonsense_is_no_answer():
    with ModelServer([nonsense("json"), nonsense("sse"), nonsense("html")]) as server:
        answers = [ask(server, "anthropic") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    types = [answer.headers["content-type"] for answer in answers]
    assert types == ["application/json", "text/event-stream", "text/html"]
    for answer in answers:
        with pytest.raises(ValueError, match="Expecting"):
            answer.json()


def test_side_calls_use_no_step():
    with ModelServer([text("work")]) as server:
        assert ask(server, "anthropic", "quota", max_tokens=1).status_code == 200
        counted = httpx.post(server.url + "/v1/messages/count_tokens", json=body("anthropic", "x" * 400))
        assert counted.json()["input_tokens"] > 100
        listed = httpx.get(server.url + "/v1/models").json()
        assert "scripted-model" in [model["id"] for model in listed["data"]]
        version = {"anthropic-version": "2023-06-01"}
        listed = httpx.get(server.url + "/v1/models", headers=version).json()
        assert listed["data"][0]["type"] == "model"
        assert httpx.get(server.url + "/v1/models/any", headers=version).json()["id"] == "any"
        assert httpx.head(server.url + "/").status_code == 200
        lost = httpx.post(server.url + "/v1/embeddings", json={})
        assert (lost.status_code, lost.json()["error"]["type"]) == (404, "invalid_request_error")
        assert server.calls == []
        assert [one.side for one in server.requests] == [
            "probe",
            "count_tokens",
            "models",
            "models",
            "models",
            "root",
            "unknown",
        ]
        assert said("anthropic", ask(server, "anthropic").json()) == "work"


@pytest.mark.parametrize(
    "sent", ["no json", "[]", '{"messages": 3, "input": 3}', '{"messages": [3], "input": [3]}']
)
@pytest.mark.parametrize("api", PATHS)
def test_what_is_no_call_is_refused_as_the_vendors_do(api, sent):
    with ModelServer([text("work")]) as server:
        answer = httpx.post(server.url + PATHS[api], content=sent)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert server.calls == []


def test_requests_are_recorded_without_their_keys():
    with ModelServer() as server:
        ask(server, "responses", "Do the thing")
        (request,) = server.wait_for(1)
    assert (request.method, request.path, request.api, request.model) == (
        "POST",
        "/v1/responses",
        "responses",
        "m",
    )
    assert request.body["input"][0]["content"] == "Do the thing"
    assert request.headers["x-app"] == "cli"
    assert "test-key" not in str(request)
    assert abs(request.time - time.time()) < 60


def test_waiting_in_vain_tells_what_came():
    with ModelServer() as server:
        httpx.get(server.url + "/v1/models")
        with pytest.raises(TimeoutError, match=r"/v1/models \(models\)"):
            server.wait_for(1, timeout=0.05)


def test_steps_are_added_while_it_runs():
    with ModelServer() as server:
        assert said("chat", ask(server, "chat").json()) == "done"
        server.push(text("more"))
        assert said("chat", ask(server, "chat").json()) == "more"


def test_twenty_callers_get_a_step_each():
    with ModelServer([text(f"answer {number}") for number in range(20)]) as server:
        found: list[str] = []
        callers = [
            threading.Thread(target=lambda: found.append(said("chat", ask(server, "chat").json())))
            for _ in range(20)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(10)
    assert sorted(found) == sorted(f"answer {number}" for number in range(20))


def test_a_stopped_server_frees_its_port():
    with ModelServer() as server:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            ModelServer(port=port).start()
    with ModelServer(port=port) as server:
        assert server.url.endswith(f":{port}")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    """Starts the command with a script; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *words: str) -> subprocess.Popen[str]:
        file = tmp_path / "script.yaml"
        file.write_text(script, encoding="utf-8")
        command = [sys.executable, "-m", "cis_provider.testing.model_server", str(file), *words]
        made = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(made)
        return made

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_the_command_prints_its_address_and_ends_on_sigterm(process, tmp_path):
    log = tmp_path / "log.jsonl"
    server = process("- text: from a file\n- hang: true", "--log", str(log))
    told = json.loads(server.stdout.readline())
    assert told["pid"] == server.pid
    answer = httpx.post(told["url"] + PATHS["chat"], json=body("chat"), headers={"authorization": "Bearer k"})
    assert said("chat", answer.json()) == "from a file"
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["step"] == 0
    assert "authorization" not in line
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait(10) == 0


@pytest.mark.parametrize(
    ("script", "words", "code", "message"),
    [
        ("- text: 3", (), 1, "script.yaml:1:3: step 1: text is 3; allowed: a text"),
        ("- text: a", ("--log", "/no/such/folder/log"), 2, "/no/such/folder/log"),
        ("- text: a", ("--port", "1000000"), 2, "port"),
    ],
)
def test_the_command_refuses_what_it_cannot_use(process, script, words, code, message):
    server = process(script, *words)
    _, error = server.communicate(timeout=20)
    assert server.returncode == code
    assert message in error
    assert "Traceback" not in error
