"""The language: one description of an app, as a YAML file or made in Python."""
