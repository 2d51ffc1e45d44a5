"""The vocabulary: scopes, sessions, results. Pure: no I/O, no clock, no Airflow."""
