"""Functions: samples in, samples out, plain-data state, one ordered input log.

A function sees nothing but its inputs: no clock, no I/O, no randomness that is not in its state. The host numbers everything that reaches
it (samples of all inputs, timer ticks, settings, models) into one log. Whoever restores a checkpoint and feeds the rest of the log gets
the same outputs, bit for bit, on any interpreter: restart, fail-over and migration rest on this and on nothing else.
"""

from eddy.kernel import codec
from eddy.kernel.errors import Refused, SampleError

MYPY = False
if MYPY:
    from typing import Any

SAMPLE = 0
TICK = 1
CONFIGURE = 2
MODEL = 3
GAP = 4
_HANDLERS = ("on", "tick", "configure", "model", "gap")


class Sample:
    """One value of a stream, with its identity `(stream, origin, seq)`.

    Args:
        stream: Name of the stream.
        origin: Who numbered the sample (a device id).
        seq: Dense number given by the origin.
        time_ns: When it was measured, nanoseconds since 1970, by the origin.
        value: Plain data, or an array that never leaves the node.
        resent: It was sent before, or kept before a reboot of its origin: not live.
    """

    def __init__(self, stream: str, origin: str, seq: int, time_ns: int, value: "Any", resent: bool = False) -> None:
        self.stream = stream
        self.origin = origin
        self.seq = seq
        self.time_ns = time_ns
        self.value = value
        self.resent = resent


class Function:
    """Base of everything that is placed, deployed and moved. Subclasses override what they need.

    Each handler returns the values that the function emits. All that outlives a call belongs in what `state` returns: integers, bytes,
    text, lists and maps of these (see `codec`).
    """

    every_ms = 0
    """How often the host calls `tick`, milliseconds; 0 for never."""

    schema = 1
    """Version of the form of the state; raise it when `state` changes its form, and teach `upgrade` the old one."""

    def on(self, sample: Sample) -> "list[Any]":
        """A sample of one of the inputs."""
        return []

    def tick(self, time_ns: int) -> "list[Any]":
        """A timer, in sample time; also one step of a long job."""
        return []

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """New settings, without a new deployment. Raise BadInput to refuse them."""
        return []

    def model(self, data: bytes) -> "list[Any]":
        """A new model in its runtime form."""
        return []

    def gap(self, sample: Sample) -> "list[Any]":
        """Samples of an input are missing for good: from `sample.seq` to `sample.value.last`, for `sample.value.reason`."""
        return []

    def state(self) -> "Any":
        """Everything that must survive, as plain data."""
        return None

    def restore(self, state: "Any") -> None:
        """Take over what `state` returned, here or on another interpreter."""

    def upgrade(self, state: "Any", schema: int) -> "Any":
        """Turn a state of an older schema into this one.

        Raises:
            Refused: Always, unless a subclass knows the old form.
        """
        raise Refused("state of schema %d cannot be upgraded to %d; deploy the version that wrote it" % (schema, self.schema))


class Instance:
    """One running function: numbers its inputs and makes checkpoints.

    Args:
        function: The code and its state.
        name: Name of the instance, for example `detect@pump-3`.
        digest: Hash of the code; a checkpoint made by other code is refused unless the schema differs and `upgrade` takes it.
    """

    def __init__(self, function: Function, name: str, digest: bytes = b"") -> None:
        self.function = function
        self.name = name
        self.digest = digest
        self.position = 0

    def feed(self, kind: int, payload: "Any") -> "list[Any]":
        """The next entry of the input log.

        Args:
            kind: SAMPLE, TICK, CONFIGURE, MODEL or GAP.
            payload: A Sample, a time in nanoseconds, a map of settings, the bytes of a model, or a Sample whose value is a `hop.Gap`.

        Returns:
            The values that the function emits for it.

        Raises:
            SampleError: Unknown kind of entry.
        """
        if not 0 <= kind < len(_HANDLERS):
            raise SampleError("entry of kind %d in the input log of %s; kinds are 0 to %d" % (kind, self.name, len(_HANDLERS) - 1))
        self.position += 1
        outputs: list[Any] = getattr(self.function, _HANDLERS[kind])(payload)
        return outputs

    def checkpoint(self) -> bytes:
        """State and input position as deterministic CBOR."""
        return codec.encode([self.name, self.digest, self.function.schema, self.position, self.function.state()])

    def restore(self, data: bytes) -> None:
        """Continue from a checkpoint; the next `feed` is the entry after it.

        Raises:
            CodecError: Not a checkpoint.
            Refused: Of another instance, or written by other code of the same schema.
        """
        parts = codec.decode(data)
        if not isinstance(parts, list) or len(parts) != 5:
            raise SampleError("not a checkpoint: expected name, digest, schema, position and state")
        name, digest, schema, position, state = parts
        if name != self.name:
            raise Refused("checkpoint of %s offered to %s" % (name, self.name))
        if schema != self.function.schema:
            state = self.function.upgrade(state, schema)
        elif digest != self.digest:
            raise Refused("checkpoint of %s was written by other code; deploy that version, or raise its schema" % name)
        self.function.restore(state)
        self.position = position
