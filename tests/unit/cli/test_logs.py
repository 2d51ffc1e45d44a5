"""Following what agents print."""

from __future__ import annotations

from pathlib import Path

from cis_provider.cli.logs import Tail


def test_lines_come_whole_and_without_escape_codes(tmp_path: Path) -> None:
    file = tmp_path / "output.log"
    tail = Tail(file)
    assert list(tail.read()) == []
    file.write_bytes(b"\x1b[31mone\x1b[0m\r\ntw")
    assert list(tail.read()) == ["one"]
    with file.open("ab") as more:
        more.write("o 依".encode()[:-1])
    assert list(tail.read()) == []
    with file.open("ab") as more:
        more.write("依".encode()[-1:] + b"\n10%\r50%\r100%")
    assert list(tail.read()) == ["two 依"]
    assert list(tail.finish()) == ["100%"]
    assert list(tail.finish()) == []
