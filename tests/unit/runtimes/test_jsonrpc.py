"""JSON-RPC over pipes: a peer in this process."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from cis_provider.runtimes.jsonrpc import JsonRpc, RpcClosed, RpcError


class Wire:
    """What is written, and a reader that the test feeds."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=8 * 1024 * 1024)
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.asked: list[Any] = []
        self.told: list[Any] = []
        self.rpc = JsonRpc(
            self.reader,
            self,  # type: ignore[arg-type]
            lambda *one: self.asked.append(one),
            lambda *one: self.told.append(one),
        )
        self.reading = asyncio.create_task(self.rpc.run())

    def write(self, data: bytes) -> None:
        self.sent.put_nowait(msgspec.json.decode(data))

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def says(self, *messages: Any) -> None:
        for message in messages:
            self.reader.feed_data(msgspec.json.encode(message) + b"\n")


async def test_an_answer_goes_to_who_asked_in_any_order() -> None:
    wire = Wire()
    first = asyncio.create_task(wire.rpc.request("one", {}))
    second = asyncio.create_task(wire.rpc.request("two", {}))
    one, two = await wire.sent.get(), await wire.sent.get()
    wire.says({"id": two["id"], "result": "b"}, {"id": one["id"], "result": "a"})
    assert (await first, await second) == ("a", "b")


async def test_a_refusal_is_raised_with_its_words() -> None:
    wire = Wire()
    asked = asyncio.create_task(wire.rpc.request("one", {}))
    number = (await wire.sent.get())["id"]
    wire.says({"id": number, "error": {"code": -5, "message": "no", "data": {"why": 1}}})
    with pytest.raises(RpcError, match=r"one: no \(-5\)") as error:
        await asked
    assert (error.value.number, error.value.data) == (-5, {"why": 1})


async def test_requests_and_notifications_of_the_peer_are_told_apart_and_nonsense_is_passed_over() -> None:
    wire = Wire()
    wire.reader.feed_data(b"no json\n[1]\n\xff\n")
    wire.says(
        {"id": "x", "method": "ask", "params": {"a": 1}},
        {"method": "tell", "params": {"b": 2}},
        {"method": "bare"},
        {"id": 99, "result": "of nothing"},
    )
    wire.reader.feed_eof()
    await wire.reading
    assert wire.asked == [("x", "ask", {"a": 1})]
    assert wire.told == [("tell", {"b": 2}), ("bare", {})]


async def test_a_line_of_several_megabytes_arrives() -> None:
    wire = Wire()
    wire.says({"method": "tell", "params": {"text": "x" * 5_000_000}})
    wire.reader.feed_eof()
    await wire.reading
    assert len(wire.told[0][1]["text"]) == 5_000_000


async def test_whoever_waits_hears_of_the_end_and_so_does_who_asks_later() -> None:
    wire = Wire()
    asked = asyncio.create_task(wire.rpc.request("one", {}))
    await wire.sent.get()
    wire.reader.feed_eof()
    with pytest.raises(RpcClosed, match="one"):
        await asked
    with pytest.raises(RpcClosed, match="two"):
        await wire.rpc.request("two", {})
