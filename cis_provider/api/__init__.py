"""What runs inside Airflow's api-server."""
