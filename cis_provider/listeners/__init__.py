"""What runs inside Airflow's own processes. Kept light: every Airflow process imports it."""
