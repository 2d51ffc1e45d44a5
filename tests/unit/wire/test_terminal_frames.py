"""Messages of the terminals' socket arrive whole, however their bytes were cut; what is none is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import ProtocolError
from cis_provider.wire.terminal import (
    Attach,
    Detach,
    Drawn,
    Gone,
    Inbox,
    Resized,
    TerminalMessage,
    Typed,
    encode,
)

messages = st.one_of(
    st.builds(Typed, st.binary(max_size=50)),
    st.builds(Drawn, st.binary(max_size=50), st.booleans()),
    st.builds(Resized, st.integers(0, 9999), st.integers(0, 9999)),
    st.builds(Gone, st.text(max_size=20)),
    st.just(Detach()),
    st.just(Attach(session_id="s", columns=1, rows=2, who="ada")),
)


@given(st.lists(messages, max_size=6), st.data())
def test_however_it_is_cut_the_same_messages_come_out(
    sent: list[TerminalMessage], data: st.DataObject
) -> None:
    stream, inbox, got = b"".join(encode(one) for one in sent), Inbox(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += inbox.feed(stream[:size])
        stream = stream[size:]
    assert got == sent


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc0", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Inbox().feed(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        Inbox().feed(data)
