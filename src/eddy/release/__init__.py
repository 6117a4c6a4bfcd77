"""Release: bringing a package to where it runs, hearing that it runs there, and going back when it does not."""
