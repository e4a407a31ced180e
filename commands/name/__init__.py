"""Maps names of tables between source and lake."""
