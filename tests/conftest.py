"""For all tests."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script; what a test starts would not end on Ctrl-C, either
    signal.signal(signal.SIGINT, signal.default_int_handler)
