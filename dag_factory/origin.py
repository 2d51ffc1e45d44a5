"""
CIS files that were put where the loader finds them, and where they came from. No Airflow.

``cis dag up -f work/refactor.yaml`` copies the file to ``$CIS_HOME/dags/refactor.yaml``. Relative paths in
it still mean its own folder: that is kept beside the copy, in ``.origins/refactor.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from cis_provider.errors import ConfigError, UsageError
from cis_provider.files import private_folder, write_atomic
from dag_factory.folder import SUFFIXES, Found, check_file, read_folder
from dag_factory.taken import on_another_node
from dag_factory.validate import Checked

_FOLDER = ".origins"


class Origin(msgspec.Struct, frozen=True):
    """
    :param file: The file that was copied, absolute.
    :param base: Folder to which relative paths in it belong.
    """

    dag_id: str
    file: str
    base: str


def install(file: Path, dags_dir: Path) -> Path:
    """
    Put a CIS file where the loader finds it.

    :param file: It is validated first. One that is below ``dags_dir`` stays where it is.
    :return: The file that the loader will read, ``<dag id>.yaml`` or ``.json``.
    :raises InvalidSpec: The file has mistakes, all of which are listed.
    :raises UsageError: Its DAG id is that of another file, or another file has its scope on another node.
    :raises ConfigError: The folder cannot be written.
    """
    checked = check_file(file)
    spec = checked.need()
    source = file.resolve()
    if source.is_relative_to(dags_dir.resolve()):
        _refuse_taken(spec.name, checked, source, dags_dir, except_for=source)
        return file.absolute()
    suffix = ".json" if source.suffix == ".json" else ".yaml"
    target = dags_dir / f"{spec.name}{suffix}"
    _refuse_taken(spec.name, checked, source, dags_dir, except_for=None)
    origin = Origin(spec.name, str(source), str(source.parent))
    private_folder(dags_dir / _FOLDER)
    try:
        # The folder first: a copy without it would be read with another one.
        write_atomic(_sidecar(target), msgspec.json.encode(origin))
        write_atomic(target, source.read_bytes())
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from None
    for other in SUFFIXES:
        if other != suffix:  # it was a .json before, and is YAML now
            target.with_suffix(other).unlink(missing_ok=True)
    return target


def base_folder_of(path: Path) -> Path:
    """Folder to which relative paths in a CIS file belong: that of its origin, else its own."""
    origin = origin_of(path)
    return Path(origin.base) if origin is not None else path.parent


def base_folders(files: Iterable[Path]) -> Iterator[Path]:
    """:func:`base_folder_of` for many files, with one look at each folder."""
    has_origins: dict[Path, bool] = {}
    for file in files:
        folder = file.parent
        if folder not in has_origins:
            has_origins[folder] = (folder / _FOLDER).is_dir()
        yield base_folder_of(file) if has_origins[folder] else folder


def origin_of(path: Path) -> Origin | None:
    """Where a file below the loader's folder was copied from; nothing when it was put there by hand."""
    try:
        return msgspec.json.decode(_sidecar(path).read_bytes(), type=Origin)
    except (OSError, msgspec.MsgspecError):
        return None


def _sidecar(target: Path) -> Path:
    return target.parent / _FOLDER / f"{target.name.removesuffix(target.suffix)}.json"


def _refuse_taken(
    dag_id: str, checked: Checked, source: Path, dags_dir: Path, *, except_for: Path | None
) -> None:
    for found in read_folder(dags_dir):
        if except_for is not None and found.path.resolve() == except_for:
            continue
        spec, origin = found.checked.spec, origin_of(found.path)
        is_mine = found.path.stem == dag_id and found.path.parent == dags_dir
        if (spec is None or spec.name != dag_id) and not is_mine:
            if spec is not None and not (origin is not None and origin.file == str(source)):
                _refuse_other_node(checked, source, found)
            continue
        if origin is not None and (origin.file == str(source) or not Path(origin.file).exists()):
            continue
        holder = origin.file if origin is not None else str(found.path)
        raise UsageError(
            f'{source}: the DAG id "{dag_id}" is that of {holder}; give this file another name:, or remove {found.path}'
        )


def _refuse_other_node(checked: Checked, source: Path, found: Found) -> None:
    for target in checked.scopes.targets:
        for other in found.checked.scopes.targets:
            if message := on_another_node(target, str(found.path), other):
                raise UsageError(f"{source}: {message}; say one node: in both, or remove {found.path}")
