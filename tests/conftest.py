"""For all tests."""

import signal

from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("eddy", deadline=None)
settings.load_profile("eddy")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; then what a test starts would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)
