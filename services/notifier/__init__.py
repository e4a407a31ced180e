"""The notifier: opens and closes incidents, and sends alerts about them."""
