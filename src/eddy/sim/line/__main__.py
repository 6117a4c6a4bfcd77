"""`python -m eddy.sim.line`."""

from eddy.sim.line.emulator import main

if __name__ == "__main__":
    main()
