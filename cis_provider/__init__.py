"""Apache Airflow provider that runs coding agents as Airflow tasks."""

__version__ = "0.1.0"
