"""A producer as a process: keeps samples in SQLite and sends them; goes on where it was when it is started again.

`producer.py DATABASE COUNT LISTEN CONNECT`; ends when all are acknowledged. The value of sample n is n, its time START_NS + n * STEP_NS.
"""

import sys
import time

from eddy.fabric.mesh import Mesh
from eddy.kernel.assignment import read
from eddy.kernel.hop import Outbox
from eddy.kernel.outlets import Outlets
from eddy.knowledge.spool import SqliteStore, connect, transaction

START_NS, STEP_NS = 1_700_000_000_000_000_000, 2_000_000
_AT_A_TIME = 3


def main(database: str, count: int, listen: str, meeting: str) -> None:
    connection = connect(database)
    box = Outbox("vibration", "source", SqliteStore(connection, "vibration"), capacity=1 << 16, max_bytes=1 << 24, block=1)
    outlets = Outlets({"sink": box})
    mesh = Mesh(["source"], listen, [meeting])
    while box.next() < count or box.pending():
        with transaction(connection):  # number and sample together: a kill in between leaves no hole
            for number in range(box.next(), min(count, box.next() + _AT_A_TIME)):
                box.keep(START_NS + number * STEP_NS, number)
        for data in mesh.take(0.002):
            outlets.acked("sink", read(data)[2])
        for to, data in outlets.speak(time.monotonic_ns() // 1_000_000):
            mesh.send(to, data)
    mesh.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
