"""Airflow as an orchestrator: a provider, DAGs, and a real Airflow on this machine."""
