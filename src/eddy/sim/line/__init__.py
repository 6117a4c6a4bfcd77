"""A half-duplex serial line that loses, garbles, collides and breaks, in virtual time or as a process with two ports.

>>> from eddy.kernel.arq import Arq
>>> device, gateway = Arq(primary=False, seed=1), Arq(primary=True, seed=2)
>>> line = VirtualLine(Line(baud=2400, loss=0.1, corrupt=0.01), device, gateway)
>>> handle = gateway.send(bytes(5000))
>>> line.run(seconds=60)
>>> device.take() == bytes(5000)
True
"""

from eddy.sim.line.model import DEVICE, GATEWAY, Line
from eddy.sim.line.process import LineProcess, start_line
from eddy.sim.line.virtual import Station, VirtualLine

__all__ = ["DEVICE", "GATEWAY", "Line", "LineProcess", "Station", "VirtualLine", "start_line"]
