"""The demo's repository, and the small project in it that the upgrade works on."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from nightly_upgrade.errors import StepError
from nightly_upgrade.pins import find_pins

pytestmark = pytest.mark.integration

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    """tools/demo.py, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location("demo", CHECKOUT / "tools" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=n@localhost"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def source(tmp_path: Path, demo: ModuleType) -> Path:
    """A checkout of ours, as far as the demo needs it."""
    folder = tmp_path / "source"
    pins = folder / demo.REQUIREMENTS
    pins.parent.mkdir(parents=True)
    pins.write_text((CHECKOUT / demo.REQUIREMENTS).read_text())
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_every_pin_of_the_demo_is_set_back_and_nothing_else(
    source: Path, demo: ModuleType, tmp_path: Path
) -> None:
    clone = demo.prepare_repository(source, tmp_path / "demo" / "repository")
    pins = find_pins((clone / demo.REQUIREMENTS).read_text())
    assert {pin.name: pin.version for pin in pins} == demo.SET_BACK
    assert git(clone, "diff", "--name-only", "HEAD~1") == demo.REQUIREMENTS
    assert git(source, "status", "--porcelain") == ""


def test_a_second_demo_takes_the_newest_source_and_keeps_what_was_done_before(
    source: Path, demo: ModuleType, tmp_path: Path
) -> None:
    clone = demo.prepare_repository(source, tmp_path / "repository")
    git(clone, "branch", "work/earlier")
    (source / "new.txt").write_text("new")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "second")

    demo.prepare_repository(source, clone)
    assert (clone / "new.txt").read_text() == "new"
    assert git(clone, "log", "--format=%s", "-2").splitlines() == ["Set some pins back", "second"]
    assert "work/earlier" in git(clone, "branch")


def test_a_source_without_git_is_one_clear_error(demo: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(StepError, match=r"git clone failed.*unpacked"):
        demo.prepare_repository(tmp_path / "unpacked", tmp_path / "repository")
