"""Recordings: whole lines of asciicast v3, without secrets, bounded, and readable after a kill at any byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cis_provider.screens.recording import Recording as Read
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.recording import Recording


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def made(path: Path, clock: Clock | None = None, secrets: tuple[str, ...] = (), **more: Any) -> Recording:
    return Recording(
        path, size=(120, 40), mask=SecretMask(secrets), title="a recording", clock=clock or Clock(), **more
    )


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_times_are_since_the_event_before_and_add_up(tmp_path: Path) -> None:
    clock = Clock()
    recording = made(tmp_path / "r", clock)
    for _ in range(1000):
        clock.now += 0.0014
        recording.output(b"x")
    clock.now += 1.0
    recording.resized(80, 24)
    recording.close()
    header, *events = lines(tmp_path / "r")
    assert (header["version"], header["term"]["cols"], header["term"]["rows"]) == (3, 120, 40)
    assert events[-1][1:] == ["r", "80x24"]
    assert sum(event[0] for event in events) == pytest.approx(2.4, abs=0.001)


def test_a_character_in_two_pieces_and_a_secret_in_two_pieces_are_whole_and_hidden(tmp_path: Path) -> None:
    recording = made(tmp_path / "r", secrets=("hush-hush",))
    for piece in ("漢".encode()[:2], "漢".encode()[2:] + b" hush", b"-hush and ", b"\xff more"):
        recording.output(piece)
    recording.close()
    text = "".join(event[2] for event in lines(tmp_path / "r")[1:])
    assert text == "漢 *** and \ufffd more"


def test_a_secret_that_is_learned_later_is_hidden_from_then_on(tmp_path: Path) -> None:
    recording = made(tmp_path / "r")
    recording.hide(["hush-hush"])
    recording.output(b"say hush-hush.")
    recording.close()
    assert "hush" not in (tmp_path / "r").read_text()


def test_it_ends_at_its_limit_with_a_word_about_it(tmp_path: Path) -> None:
    recording = made(tmp_path / "r", limit=10_000)
    for _ in range(100):
        recording.output(b"x" * 1000)
    recording.resized(80, 24)
    recording.close()
    assert (tmp_path / "r").stat().st_size < 10_200
    assert lines(tmp_path / "r")[-1][1] == "m"


def test_nothing_shown_is_no_recording(tmp_path: Path) -> None:
    recording = made(tmp_path / "r")
    recording.resized(80, 24)
    recording.close()
    assert not (tmp_path / "r").exists()


def test_cut_at_any_byte_it_can_be_read_and_gone_on_with(tmp_path: Path) -> None:
    clock = Clock()
    recording = made(tmp_path / "r", clock)
    for word in ("one", "two\r\n", "drei 漢"):
        clock.now += 0.5
        recording.output(word.encode())
    recording.close()
    whole = (tmp_path / "r").read_bytes()
    header = whole.index(b"\n") + 1
    for size in range(len(whole)):
        path = tmp_path / "cut"
        path.write_bytes(whole[:size])
        again = made(path)
        again.output(b"again")
        again.close()
        events = list(Read(path).events())
        assert events[-1].data == b"again"
        kept = whole[:size].count(b"\n") - 1
        assert sum(event.code == "o" for event in events) == max(kept, 0) + 1
        assert size < header or any(event.code == "m" for event in events)


def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    recording = made(Path("/dev/full"))
    recording.output(b"x")
    recording.output(b"y")
    recording.close()
