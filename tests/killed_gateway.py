"""A gateway in a process of its own, to be killed: batches come in on stdin, acknowledgements leave on stdout once they are due.

Both ways each object is four bytes of length, most significant first, then itself; a batch's acknowledgements come as one CBOR array.

    python killed_gateway.py BASE KEY
"""

import sys

from pumps import SETTINGS

from eddy.kernel.codec import encode
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop
from eddy.security.signing import SigningKey


def main(base: str, key: str) -> None:
    loop = Loop(KnowledgeBase(base, clock=lambda: 0), SigningKey.load(key), SETTINGS)
    sys.stdout.buffer.write(b"up\n")
    sys.stdout.buffer.flush()
    while head := sys.stdin.buffer.read(4):
        acks = encode(loop.receive(sys.stdin.buffer.read(int.from_bytes(head))))
        sys.stdout.buffer.write(len(acks).to_bytes(4) + acks)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
