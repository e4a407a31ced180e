"""Commands about alerts: try the receivers, and list them."""
