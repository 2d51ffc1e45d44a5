"""The coordinator: one small process per node, and how to talk to it. Never imports Airflow."""
