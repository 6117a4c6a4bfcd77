"""The pool: several models judge what one device says, are ranked by it, and one of them replaces a failing champion."""
