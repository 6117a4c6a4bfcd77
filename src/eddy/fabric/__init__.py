"""Messages between nodes, by address, wherever the addressee is now."""
