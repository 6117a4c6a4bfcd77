"""For all tests."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; then what a test starts would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)
