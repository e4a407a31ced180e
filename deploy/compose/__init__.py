"""Helpers of docker-compose.yml besides the services."""
