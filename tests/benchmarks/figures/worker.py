"""
The scope worker alone, without Airflow: its start, its memory, and a hundred megabytes of output.

Memory is resident memory as the kernel counts it, what is shared with other processes included.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from statistics import median

from kit.cpu import peak_rss_mb, rss_mb
from kit.home import eventually, node_processes, temporary_home
from kit.rows import Row, Scale, Target

from cis_provider import paths
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest
from cis_provider.node.client import NodeClient
from cis_provider.node.detached import process_environment
from cis_provider.wire import frames
from cis_provider.wire.messages import Hello, Welcome

_NAME, _SCOPE = "worker-global", "global"
_LINE = 100


def measure(scale: Scale) -> list[Row]:
    """Three homes, one after the other."""
    return [*_start(scale), *_sessions(scale), *_output(scale)]


def _start(scale: Scale) -> list[Row]:
    seconds, memory = [], []
    for _ in range(scale.of(9, 3)):
        with temporary_home():
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "cis_provider.worker", _NAME, _SCOPE],
                env=process_environment(os.environ), stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                eventually(_answers, 20, "the worker answers", every=0.002)
                seconds.append(time.perf_counter() - began)
                memory.append(rss_mb(process.pid))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
    return [
        Row("scope worker: ready", median(seconds), "s", target=Target.AT_MOST, limit=0.3,
            note=f"from its start to its first answer; median of {len(seconds)}"),
        Row("scope worker: memory when idle", median(memory), "MB", target=Target.AT_MOST, limit=30),
    ]  # fmt: skip


def _answers() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
        sock.settimeout(5)
        sock.connect(str(paths.worker_socket(_NAME)))
        sock.sendall(frames.encode(Hello("bench")))
        return isinstance(frames.read_blocking(sock), Welcome)
    return False


def _sessions(scale: Scale) -> list[Row]:
    count = scale.of(100, 20)
    with temporary_home(CIS_DAG_LOCAL_MAX_WORKERS=str(count)), NodeClient("bench") as node:
        _run(node, "first", "true")
        pid = node_processes()[_NAME]
        before = rss_mb(pid)
        for number in range(count):
            node.submit(_request(f"sleeper-{number}", "sleep 300"))
        eventually(lambda: _with_process(node) == count, 60, f"{count} sessions are at work", every=0.2)
        full = rss_mb(pid)
    return [
        Row("scope worker: memory for each session more", (full - before) / count, "MB", target=Target.AT_MOST,
            limit=1, note=f"{before:.1f} MB before, {full:.1f} MB with {count} at work"),
    ]  # fmt: skip


def _with_process(node: NodeClient) -> int:
    return sum(record.pid > 0 for record in node.sessions(alive=True))


def _output(scale: Scale) -> list[Row]:
    lines = scale.of(1_000_000, 100_000)
    size = lines * _LINE // 1_000_000
    # Numbered lines of fixed length: a lost, doubled or moved one changes the sum.
    command = f"seq -f '%0{_LINE - 1}.0f' {lines}"
    wanted = hashlib.sha256(
        subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, check=True).stdout
    )
    with temporary_home(), NodeClient("bench") as node:
        _run(node, "first", "true")
        pid = node_processes()[_NAME]
        before = peak_rss_mb(pid)
        began = time.monotonic()
        record = _run(node, "much", command)
        seconds = time.monotonic() - began
        grown = peak_rss_mb(pid) - before
        data = (paths.session_dir(record.session_id) / "output.log").read_bytes()
        whole = hashlib.sha256(data.replace(b"\r\n", b"\n")).digest() == wanted.digest()
    return [
        Row(f"{size} MB of output: lost", float(not whole), "files", target=Target.AT_MOST, limit=0,
            note=f"by checksum; {size / seconds:.0f} MB/s"),
        Row(f"{size} MB of output: memory of the worker grows by", grown, "MB", target=Target.AT_MOST, limit=5),
    ]  # fmt: skip


def _run(node: NodeClient, task_id: str, command: str) -> SessionRecord:
    submitted = node.submit(_request(task_id, command)).record
    with NodeClient("bench") as watching:
        *_, ended = watching.watch(submitted.session_id, timeout=120)
    if ended.result is None or ended.result.is_error:
        raise RuntimeError(f"{command!r}: {ended.result}")
    return ended


def _request(task_id: str, command: str) -> SessionRequest:
    return SessionRequest(
        key=SessionKey("bench", "run", task_id, -1),
        try_number=1,
        max_tries=0,
        agent_id=task_id,
        agent_type="shell",
        command=command,
        scope=_SCOPE,
    )
