"""Built-in functions for gateway and cloud, one per file."""
