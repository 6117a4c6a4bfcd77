"""Model Deployment Agent: verifies packages, keeps what runs in two slots, and puts a model and its pipeline in execution.

The numbers in comments are the steps of section IV of the Tiny-MLOps paper.
"""

from eddy.kernel import codec, package
from eddy.kernel.engines import LocalInference
from eddy.kernel.errors import BadInput, OutOfMemory, Refused
from eddy.kernel.forest import Forest
from eddy.kernel.function import CONFIGURE, Instance
from eddy.kernel.slots import Slots

MYPY = False
if MYPY:
    from typing import Any


CONFIGURABLE = {"threshold": (0, 65536), "normal_every": (1, 1000000), "batch": (32, 1024)}
"""What a package may configure on a running device: (lowest, highest). Threshold Q16, windows, bytes; see `agent.DEFAULTS`."""


class ModelDeployment:
    """Model Deployment Agent: packages the local champion, verifies those that come, keeps both slots.

    A slot holds the length of its head (2 bytes), the head, and the model's runtime image. The head holds `f` (feature names), `c`
    (settings) and `p` (fingerprint of the package that it came with: a package without a model must name it as its predecessor).

    Args:
        folder: Of the slots.
        identity: Settings with `key` (public key that packages must be signed with), `device` and `class`.
    """

    def __init__(self, folder: str, identity: "dict[str, Any]") -> None:
        self.slots = Slots(folder)
        self._identity = identity
        self.sequence = 0  # of what runs; 0 is the champion born here
        self.forest: Forest | None = None
        self.head: dict[str, Any] = {}

    def boot(self) -> bool:
        """Load what should run; False when there is nothing yet."""
        found = self.slots.boot()
        if found is None:
            return False
        self.sequence, file = found
        with file:
            head: Any = codec.decode(file.read(int.from_bytes(file.read(2), "big")))
            self.head = head
            self.forest = Forest.read(file)
        return True

    def package_local(self, forest: Forest, names: list[str]) -> None:
        """Step 2: put the champion that was trained here together with its pipeline into a slot.

        Raises:
            StorageFull: It runs, but only until the power goes.
        """
        self.sequence, self.forest, self.head = 0, forest, {"f": names, "c": {}}
        self._install(0, forest, self.head)
        self.slots.confirm()

    def receive(self, data: "bytes | memoryview") -> None:
        """Step 10, then 3: verify a package and install it as a trial.

        Raises:
            EddyError: Refused; what ran runs on.
        """
        known = self._identity
        try:
            manifest, parts = package.open_package(data, known["key"], known["device"], known["class"], self.slots.sequence())
            new: dict[str, Any] = parts
            head: dict[str, Any] = {"f": new.get("f", self.head.get("f")), "c": dict(self.head.get("c", {}))}
            forest = self.forest
            if "m" not in new and manifest.predecessor != self.head.get("p", b""):
                raise Refused("the package configures another one than what runs here: ask for it again")
            head["p"] = manifest.digest[:8]
            if not head["f"]:
                raise BadInput("the first package names no features: send the model together with its pipeline")
            if "m" in new:
                forest = Forest.from_wire(new["m"])
                head["c"].pop("threshold", None)  # belonged to the model before
            if forest is None:
                raise Refused("a package without a model came before the first champion: train or deploy one first")
            head["c"].update(new.get("c", {}))
            engine(forest, head)  # what cannot run is refused before it is stored
            self._install(manifest.sequence, forest, head)
        except MemoryError:
            raise OutOfMemory("the package does not fit on the heap: deploy fewer trees")

    def _install(self, sequence: int, forest: Forest, head: "dict[str, Any]") -> None:
        encoded = codec.encode(head)
        self.slots.install(sequence, len(encoded).to_bytes(2, "big") + encoded, forest.seal())
        self.sequence = sequence
        self.forest = forest
        self.head = head

    def revert(self) -> None:
        """Back to the last confirmed slot; to nothing when there is none."""
        self.slots.revert()
        if not self.boot():
            self.sequence, self.forest, self.head = 0, None, {}


def engine(forest: Forest, head: "dict[str, Any]") -> Instance:
    """Steps 3 and 4: a model and its pipeline in execution, its threshold configured.

    Raises:
        EddyError: It cannot run here.
    """
    for name, value in head["c"].items():
        if name not in CONFIGURABLE:
            raise BadInput("setting %s is not for a running device: %s are" % (name, ", ".join(CONFIGURABLE)))
        low, high = CONFIGURABLE[name]
        if not isinstance(value, int) or not low <= value <= high:
            raise BadInput("setting %s is %r: a number from %d to %d is needed" % (name, value, low, high))
    inference = LocalInference(head["f"])
    inference.use(forest)
    instance = Instance(inference, "inference")
    instance.feed(CONFIGURE, head["c"])
    return instance
