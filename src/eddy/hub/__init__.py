"""The control plane: who hosts what, and why. Nodes go on without it."""
