"""`python -m eddy` is the `eddy` command."""

from eddy.cli.main import app

app()
