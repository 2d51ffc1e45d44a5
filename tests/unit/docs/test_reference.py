"""The reference is what the code says."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def generator(checkout) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", checkout / "tools" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(generator, checkout):
    for name, text in generator.pages().items():
        written = (checkout / "docs" / "reference" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/reference/{name}: run `make reference`"


def test_nothing_else_is_in_the_reference(generator, checkout):
    there = {file.name for file in (checkout / "docs" / "reference").iterdir()}
    assert there == set(generator.pages())


def test_a_page_that_is_out_of_date_is_found(generator, checkout, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generator, "FOLDER", tmp_path / "docs" / "reference")
    monkeypatch.setattr(generator, "CHECKOUT", tmp_path)
    assert generator.main(["--check"]) == 1
    assert "make reference" in capsys.readouterr().err
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


def test_every_key_and_option_has_a_meaning(generator):
    for name in ("cis-file.md", "settings.md", "agent-operator.md", "errors.md"):
        rows = [line for line in generator.pages()[name].splitlines() if line.startswith("| `")]
        assert rows
        assert [row for row in rows if row.endswith("|  |")] == []
