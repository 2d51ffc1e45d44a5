"""
A whole Airflow on one machine, with nothing to install or configure: ``cis airflow start``.

``cis_provider.embedded.api`` is the way in; ``supervisor`` is the process that keeps it alive.
"""
