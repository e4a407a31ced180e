"""Types for the modules of the dashboard, and the script that fetches its packages."""
