"""
Every CIS file (YAML or JSON with ``agents:``) in this folder and below becomes an Airflow DAG.

Put this file and your CIS files into a dags folder of Airflow.
"""

from pathlib import Path

# Airflow's dag processor reads `airflow` imports here before it forks, and finds this file by the word.
import airflow.sdk  # noqa: F401

from dag_factory import load_folder

globals().update({f"dag {dag_id}": dag for dag_id, dag in load_folder(Path(__file__).parent).items()})
