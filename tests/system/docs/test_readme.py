"""What a new user does first."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_first_cis_file_of_the_readme_runs(embedded_airflow, tmp_path):
    (text,) = re.findall(
        r"^```yaml\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "notes.yaml").write_text(text, encoding="utf-8")
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost")
    for words in (["init", "-q"], ["add", "."], [*person, "commit", "-q", "-m", "第一步"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, timeout=30)

    command = [sys.executable, "-m", "cis_provider.cli.main", "dag", "up", "-f", "notes.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "# This week\n- 第一步 (Ada)\n"
