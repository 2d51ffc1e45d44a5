"""What a terminal program shows, and what that means. Imports only the model; never Airflow."""
