"""The `eddy` command: one file per verb; what is slow to import is imported when its verb runs."""
