"""Airflow sensors: tasks that sleep beside an agent, and a step where a human decides."""
