"""The charter of an instance: what it is, what may come in, and where it may be. Signed by the hub, checked by every node that hosts it.

    sealed  = CBOR [body: bytes, signature: 64 bytes, or none]
    body    = CBOR [instance, revision, program, settings, birth, stream, inputs, confined, stay]

Who owns an instance changes often and is said by assignments; what it is changes seldom, and is said here. The signature is Ed25519 over
`DOMAIN` and the bytes of the body as they came.
"""

import hashlib

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import CodecError, ManifestError, SignatureError

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Verify = Callable[[bytes, bytes], bool]

DOMAIN = b"eddy charter 1\n"  # keeps a signature made for something else from passing here


class Charter:
    """One revision of what an instance is.

    Attributes:
        instance: Its name.
        revision: Counts from 1; a later one replaces code and settings while the state stays.
        program: What its class is built from: plain data.
        settings: What it is configured with, on top of that.
        birth: 3 bytes that tell this instance from an earlier one of the same name.
        stream: Of its outputs.
        inputs: Origins that it takes samples from, and from nobody else.
        confined: Nodes that may hold it and what comes in; empty for any.
        stay: A silent owner is not replaced unless it is known to be dead; without, another takes over.
        sealed: The bytes that say all this.
    """

    FIELDS = ("instance", "revision", "program", "settings", "birth", "stream", "inputs", "confined", "stay")

    def __init__(
        self,
        instance: str,
        revision: int,
        program: "Any",
        settings: "dict[str, Any]",
        birth: bytes,
        stream: str,
        inputs: list[str],
        confined: list[str],
        stay: bool,
        sealed: bytes = b"",
    ) -> None:
        self.instance = instance
        self.revision = revision
        self.program = program
        self.settings = settings
        self.birth = birth
        self.stream = stream
        self.inputs = inputs
        self.confined = confined
        self.stay = stay
        self.sealed = sealed or self.seal()

    def seal(self, sign: "Callable[[bytes], bytes]" = lambda data: b"") -> bytes:
        """The bytes of this charter, signed; also what `sealed` is from now on."""
        body = encode([getattr(self, name) for name in self.FIELDS])
        self.sealed = encode([body, sign(DOMAIN + body)])
        return self.sealed

    def digest(self) -> bytes:
        """Tells its code and arguments from others': 8 bytes."""
        return hashlib.sha256(encode(self.program)).digest()[:8]

    def may_be_on(self, node: str) -> bool:
        """Whether that node may see what comes in."""
        return not self.confined or node in self.confined


def unsigned(body: bytes, signature: bytes) -> bool:
    """Takes any charter: for tests, and where a simulation plays all parts."""
    return True


def open_charter(sealed: bytes, verify: "Verify" = unsigned) -> Charter:
    """The charter in these bytes.

    Args:
        sealed: As `Charter.seal` made them.
        verify: Told what was signed and the signature; whether it is good.

    Raises:
        ManifestError: No charter.
        SignatureError: Not signed by whom this node trusts.
    """
    try:
        parts: Any = decode(sealed)
        body, signature = parts
        if not isinstance(body, bytes) or not isinstance(signature, bytes):
            raise ManifestError("a charter is its body and a signature")
        if not verify(DOMAIN + body, signature):
            raise SignatureError("a charter is not signed by the hub that this node trusts: enrol the node at the hub that sends it")
        fields: Any = decode(body)
        return Charter(*(fields + [sealed]))
    except (CodecError, TypeError, ValueError) as error:
        raise ManifestError("not a charter: %s" % error) from None
