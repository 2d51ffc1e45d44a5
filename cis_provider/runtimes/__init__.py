"""How each kind of agent is driven. Never imports Airflow."""
