"""The key that leaves, however a terminal says it; and nothing else."""

from __future__ import annotations

import pytest

from cis_provider.cli.attach_keys import detach_pattern, shown
from cis_provider.errors import ConfigError


@pytest.mark.parametrize(
    "data", [b"\x1c", b"\x1b[92;5u", b"\x1b[92;5:1u", b"\x1b[92;133u", b"\x1b[92:124;5u", b"\x1b[27;5;92~"]
)
def test_every_way_to_say_ctrl_backslash_leaves(data: bytes) -> None:
    found = detach_pattern("ctrl+\\").search(b"typed" + data + b"more")
    assert found is not None
    assert found.start() == 5


@pytest.mark.parametrize("data", [b"\\", b"\x1b[92u", b"\x1b[92;2u", b"\x1b[92;5:3u", b"\x1b[1;5A", b"\x1d"])
def test_other_keys_and_its_release_do_not(data: bytes) -> None:
    assert detach_pattern("ctrl+\\").search(data) is None


def test_another_key_may_be_chosen() -> None:
    assert detach_pattern("ctrl+]").search(b"\x1d")
    assert detach_pattern("Ctrl+Q").search(b"\x11")
    assert detach_pattern("ctrl+q").search(b"\x1b[113;5u")
    assert shown("ctrl+q") == "Ctrl+Q"


@pytest.mark.parametrize("key", ["", "q", "ctrl+", "ctrl+1", "alt+q", "ctrl+ab"])
def test_what_is_no_such_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=r"terminal\.detach_key"):
        detach_pattern(key)
