"""The kernel: runs unchanged on MicroPython and CPython."""
