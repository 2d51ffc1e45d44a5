"""What the benchmarks share: homes, an Airflow, CPU time, results."""
