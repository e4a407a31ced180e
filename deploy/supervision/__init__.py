"""The system under one supervisor: parts start first, services end first."""
