"""Ways in and out for what is not a node."""
