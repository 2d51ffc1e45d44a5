"""What Airflow's processes are told: airflow.cfg, environment, secrets, ports."""

from __future__ import annotations

import configparser
import dataclasses
import json
import socket
import stat
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.embedded import config, layout, ports, secrets
from cis_provider.embedded.postgres import Server
from cis_provider.errors import ConfigError
from cis_provider.files import private_folder

SERVER = Server(Path("/bin"), Path("/data"), Path("/run/pg"), None, 18)


@pytest.fixture
def airflow_dir(cis_home: Path) -> Path:
    private_folder(paths.dags_dir())
    return private_folder(paths.airflow_dir())


def written() -> configparser.ConfigParser:
    """airflow.cfg as Airflow reads it: with interpolation."""
    config.write(SERVER, secrets.load_or_make(), ports.Ports(api=21001, logs=21002))
    found = configparser.ConfigParser()
    found.read(layout.airflow_cfg())
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_that_listens_is_told_to_listen_on_loopback(airflow_dir: Path) -> None:
    found = written()

    assert found["api"]["host"] == "127.0.0.1"
    assert found["api"]["port"] == "21001"
    assert found["core"]["execution_api_server_url"] == "http://127.0.0.1:21001/execution/"
    assert (
        found["logging"]["worker_log_server_port"] == found["logging"]["trigger_log_server_port"] == "21002"
    )


def test_both_database_drivers_use_the_unix_socket(airflow_dir: Path) -> None:
    found = written()["database"]

    assert found["sql_alchemy_conn"].startswith("postgresql+psycopg2://airflow:")
    assert found["sql_alchemy_conn_async"].startswith("postgresql+asyncpg://airflow:")
    for url in found.values():
        assert url.endswith("@/airflow?host=/run/pg")


def test_files_with_secrets_are_for_their_owner_only(airflow_dir: Path) -> None:
    written()

    for path in (layout.airflow_cfg(), layout.secrets_file(), layout.passwords_file()):
        assert mode(path) == 0o600, path


def test_a_persons_own_settings_win_and_the_rest_stays(airflow_dir: Path) -> None:
    layout.own_cfg().write_text("[core]\nparallelism = 3\n[email]\nfrom_email = 100%%@example.com\n")

    found = written()

    assert found["core"]["parallelism"] == "3"
    assert found["email"]["from_email"] == "100%@example.com"
    assert found["core"]["load_examples"] == "False"


def test_settings_that_cannot_be_read_are_an_error_that_names_the_file(airflow_dir: Path) -> None:
    layout.own_cfg().write_text("parallelism = 3\n")

    with pytest.raises(ConfigError, match=r"own\.cfg"):
        written()


def test_a_percent_sign_in_a_path_survives_airflows_interpolation(
    airflow_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = dataclasses.replace(SERVER, sockets=Path("/run/100%s/pg"))
    config.write(odd, secrets.load_or_make(), ports.Ports(api=1, logs=2))
    found = configparser.ConfigParser()
    found.read(layout.airflow_cfg())

    assert found["database"]["sql_alchemy_conn"].endswith("host=/run/100%s/pg")


def test_the_loader_looks_like_a_dag_file_to_airflow(airflow_dir: Path) -> None:
    written()

    text = layout.loader_file().read_text().lower()
    assert "dag" in text and "airflow" in text  # Airflow passes over files that lack either word


def test_secrets_are_made_once_and_differ_between_homes(
    airflow_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = secrets.load_or_make()
    again = secrets.load_or_make()
    monkeypatch.setenv("CIS_HOME", str(tmp_path / "other"))
    private_folder(paths.airflow_dir())
    other = secrets.load_or_make()

    assert first == again
    assert not set(_values(first)) & set(_values(other))
    assert len(set(_values(first))) == len(_values(first))


def _values(found: secrets.Secrets) -> list[str]:
    return [str(getattr(found, name)) for name in found.__struct_fields__]


def test_airflow_is_given_the_password_that_people_are_shown(airflow_dir: Path) -> None:
    found = secrets.load_or_make()

    assert json.loads(layout.passwords_file().read_text()) == {"admin": found.password}


def test_unreadable_secrets_are_never_replaced_by_new_ones(airflow_dir: Path) -> None:
    layout.secrets_file().write_text("{}")

    with pytest.raises(ConfigError, match=r"secrets\.json"):
        secrets.load_or_make()
    assert layout.secrets_file().read_text() == "{}"


def test_the_environment_keeps_what_agents_need_and_drops_what_leads_astray(cis_home: Path) -> None:
    found = config.environment(
        {
            "PATH": "/usr/bin",
            "API_TOKEN": "for agents",
            "AIRFLOW_CONN_CIS_DEFAULT": "postgres://",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW_HOME": "/somewhere/else",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CIS_SESSION_ID": "of the agent that called",
            "CIS_OUTPUT_BEFORE": "text",
            "PGHOSTADDR": "192.0.2.1",
        }
    )

    assert found["PATH"] == "/usr/bin"
    assert found["API_TOKEN"] == "for agents"
    assert found["AIRFLOW_CONN_CIS_DEFAULT"] == "postgres://"
    assert found["AIRFLOW_HOME"] == str(paths.airflow_dir())
    assert found["CIS_HOME"] == str(cis_home)
    assert not {"AIRFLOW__CORE__EXECUTOR", "PYTHONDONTWRITEBYTECODE", "CIS_SESSION_ID"} & set(found)
    assert not {"CIS_OUTPUT_BEFORE", "PGHOSTADDR"} & set(found)


def test_the_environment_holds_no_secret_of_ours(airflow_dir: Path) -> None:
    found = config.environment({})

    for secret in _values(secrets.load_or_make()):
        assert secret not in "\n".join(found.values())


def test_our_own_address_is_never_asked_of_a_proxy(cis_home: Path) -> None:
    found = config.environment({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "example.com"})

    assert found["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    assert found["no_proxy"] == "127.0.0.1,localhost"


def test_ports_are_the_same_next_time_and_two_homes_have_different_ones(
    airflow_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = ports.choose()
    again = ports.choose()
    monkeypatch.setenv("CIS_HOME", str(tmp_path / "other"))
    private_folder(paths.airflow_dir())
    other = ports.choose()

    assert first == again
    assert len({first.api, first.logs, other.api, other.logs}) == 4


def test_a_port_that_somebody_took_is_replaced(airflow_dir: Path) -> None:
    first = ports.choose()
    with socket.create_server(("127.0.0.1", first.api)):
        second = ports.choose()

    assert first.api not in (second.api, second.logs)
    assert second.logs == first.logs or second.api == first.logs


def test_a_port_whose_old_connections_fade_away_is_free(airflow_dir: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = server.accept()
    accepted.close()  # the side that closes first waits
    client.close()
    server.close()

    assert ports.is_free(port)
