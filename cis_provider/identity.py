"""A node's name."""

from __future__ import annotations

import os
import socket
import uuid

from cis_provider import paths
from cis_provider.files import private_folder


def node_id() -> str:
    """
    The node's id: the host's name and a few random characters, made once and kept in ``$CIS_HOME/node/id``.

    Two starters at once agree: the file is made whole under another name, and linked only once.
    """
    file = private_folder(paths.node_dir()) / "id"
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname().split(".")[0].lower()) or "node"
    draft = file.with_name(f".id.{os.getpid()}")
    draft.write_text(f"{host}-{uuid.uuid4().hex[:6]}\n", encoding="utf-8")
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return file.read_text(encoding="utf-8").strip()
