"""The scope worker: a small process that owns the sessions of one scope on one node. Never imports Airflow."""
