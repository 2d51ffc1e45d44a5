"""The name under which the embedded Airflow's processes know their machine."""

from __future__ import annotations


def loopback() -> str:
    """
    Always this machine: all of the embedded Airflow runs here, and listens on loopback only.

    Airflow's default asks the name service, which is slow or wrong on a laptop that changes networks.
    """
    return "127.0.0.1"
