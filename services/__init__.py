"""The five processes; each is one loop between adapters."""
