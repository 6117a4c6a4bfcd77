"""A loop in a process of its own, to be killed: outputs of a judge come in on stdin, and an empty object on stdout for each that is kept.

Both ways each object is four bytes of length, most significant first, then itself; an output is CBOR [key, time_ns, value].

    python killed_gateway.py BASE
"""

import sys
from typing import Any

from pumps import DEVICES, SETTINGS

from eddy.kernel.codec import decode
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop


def main(base: str) -> None:
    loop = Loop(KnowledgeBase(base, clock=lambda: 0), SETTINGS, DEVICES)
    sys.stdout.buffer.write(b"up\n")
    sys.stdout.buffer.flush()
    while head := sys.stdin.buffer.read(4):
        output: Any = decode(sys.stdin.buffer.read(int.from_bytes(head)))
        loop.take(*output)
        sys.stdout.buffer.write(bytes(4))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
