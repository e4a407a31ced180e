"""Creates, lists and revokes tokens of the REST service."""
