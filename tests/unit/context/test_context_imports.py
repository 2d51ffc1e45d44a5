import subprocess
import sys


def test_a_process_without_airflow_may_use_the_store() -> None:
    code = (
        "import sys; from cis_provider.context import assembly, store; "
        "sys.exit(any(name in sys.modules for name in ('airflow', 'sqlalchemy', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
