"""The only modules that touch the outside: databases, brokers, object stores, files."""
