"""Measures what the documentation claims."""
