"""Fast twins of kernel functions, imported on MicroPython only."""
