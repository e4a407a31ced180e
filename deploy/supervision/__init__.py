"""The whole system under one supervisor process: parts first, then the services, stopped the other way round."""
