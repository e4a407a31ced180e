"""Query engines over the lake and the warehouse: started for tests, and beside a running system to try them."""
