"""Nodes: places that host functions, and proxies for devices behind a gateway."""
