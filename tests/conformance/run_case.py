"""Runs one case on the interpreter that runs this file: every function `check_*` of the module of that name.

Prints `passed <number of checks>` as its last line when all of them did; otherwise the failing check and its traceback.
"""

import sys


def run(name, root="."):
    sys.path.insert(0, root + "/cases")
    sys.path.insert(0, root)
    import vectors

    vectors.folder = root + "/golden"
    case = __import__(name)
    checks = sorted([check for check in dir(case) if check.startswith("check_")])
    for check in checks:
        try:
            getattr(case, check)()
        except BaseException:
            print("failed", name, check)
            raise
    print("passed", len(checks))
