"""More of a node: its workers, and processes of the test that are not Python's children."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cis_provider
from cis_provider.node.client import NodeClient
from cis_provider.wire.messages import WorkerInfo


@pytest.fixture
def workers() -> Callable[[], dict[str, WorkerInfo]]:
    """The node's workers by their scopes' text, asked anew each time."""

    def ask() -> dict[str, WorkerInfo]:
        with NodeClient("test") as client:
            return {worker.scope: worker for worker in client.status().workers}

    return ask


@pytest.fixture
def older_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Runs a program with version 0.0.1 of this package; what it starts is of that version, too."""
    folder = Path(cis_provider.__file__).parent
    copy = tmp_path / "older" / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / "__init__.py").read_text()
    assert cis_provider.__version__ in text
    (copy / "__init__.py").write_text(text.replace(cis_provider.__version__, "0.0.1"))

    def run(program: str) -> str:
        with monkeypatch.context() as patch:
            patch.setenv("PYTHONPATH", str(copy.parent))
            done = subprocess.run(
                [sys.executable, "-c", program],
                cwd=copy.parent,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        return done.stdout.strip()

    return run
