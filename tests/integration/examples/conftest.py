"""A package index in a folder, a repository with pins, and the steps as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "dags" / "examples"
if str(EXAMPLES) not in sys.path:
    sys.path.insert(0, str(EXAMPLES))

REQUIREMENTS = "pins/requirements.txt"

# Installs the pins for real, and uses what they bring: gadget 2 has no `greet` any more.
CHECK = """\
set -eu
"$UPGRADE_PYTHON" -m pip install --quiet --upgrade --target .installed --requirement pins/requirements.txt
PYTHONPATH=.installed "$UPGRADE_PYTHON" -c 'import gadget, widget; gadget.greet()'
"""


def make_wheel(folder: Path, name: str, version: str, source: str) -> None:
    """A wheel with one module; pip takes it from the folder as from any index."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Project-URL: Changelog, https://{name}.example.org/changes\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@dataclass
class Night:
    """
    One night: a repository, and the steps with what they hand over, as a node would run them.

    :param env: Variables of the CIS file's `env`, and pip's.
    """

    folder: Path
    env: dict[str, str]
    checkouts: dict[str, Path] = field(default_factory=dict)

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    def git(self, *arguments: str) -> str:
        """In the repository."""
        return git(self.repo, *arguments)

    def workspace(self, step: str, start: str) -> Path:
        """A worktree on a branch of its own, once for each step."""
        if step not in self.checkouts:
            self.checkouts[step] = self.folder / "workspaces" / step
            git(
                self.repo,
                "worktree",
                "add",
                "--quiet",
                "-b",
                f"work/{step}",
                str(self.checkouts[step]),
                start,
            )
        return self.checkouts[step]

    def start(self, step: str, start: str) -> subprocess.Popen[str]:
        """The step's process, leader of a process group as an agent is."""
        inputs = self.folder / "inputs"
        inputs.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, str(EXAMPLES / "nightly_upgrade"), step],
            cwd=self.workspace(step, start),
            env=self.env | {"CIS_INPUTS": str(inputs), "CIS_OUTPUT": str(inputs / f"{step}.md")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, step: str, start: str = "main") -> tuple[int, str]:
        """Exit code and what was printed."""
        process = self.start(step, start)
        printed, _ = process.communicate(timeout=120)
        return process.returncode, printed

    def output(self, step: str) -> str:
        return (self.folder / "inputs" / f"{step}.md").read_text()

    def pins(self, step: str) -> str:
        return (self.checkouts[step] / REQUIREMENTS).read_text()


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """gadget has 1.0, 1.5 and 2.0 (which breaks the check), widget 1.0 and 1.1; both are pinned to 1.0."""
    index = tmp_path / "index"
    index.mkdir()
    for version, source in [("1.0", "def greet(): ..."), ("1.5", "def greet(): ..."), ("2.0", "")]:
        make_wheel(index, "gadget", version, source)
    for version in ("1.0", "1.1"):
        make_wheel(index, "widget", version, "")

    repo = tmp_path / "repo"
    (repo / "pins").mkdir(parents=True)
    (repo / REQUIREMENTS).write_text("# ours\ngadget==1.0\nwidget==1.0  # small\n")
    (repo / "check.sh").write_text(CHECK)
    (repo / ".gitignore").write_text(".installed\n")
    who = {"GIT_AUTHOR_NAME": "Night", "GIT_AUTHOR_EMAIL": "night@localhost"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    git(repo, "init", "--quiet", "--initial-branch", "main")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=n", "-c", "user.email=n@localhost", "commit", "--quiet", "-m", "first")

    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull, **who}
    env |= {
        "UPGRADE_REPO": str(repo),
        "UPGRADE_REQUIREMENTS": REQUIREMENTS,
        "UPGRADE_CHECK": "bash check.sh",
        "UPGRADE_CHECK_TIMEOUT": "60",
        "UPGRADE_MAX_RAISES": "10",
        "UPGRADE_PYTHON": sys.executable,
    }
    return Night(tmp_path, env)
