"""The agent: what a device runs. It hosts the engines, deploys champions and talks to the gateway.

The names are those of figure 2 of the Tiny-MLOps paper; the numbers in comments are the steps of its section IV.
"""

import gc
import sys

from eddy.kernel.comm import ACK, HOP, PACKAGE, DataComm
from eddy.kernel.deployment import ModelDeployment, engine
from eddy.kernel.engines import ABSURD, ANOMALOUS, TRAINING, DataIn, LocalTraining, unusable
from eddy.kernel.errors import EddyError, SampleError, StorageFull
from eddy.kernel.forest import Forest
from eddy.kernel.function import SAMPLE, TICK, Instance, Sample
from eddy.kernel.hop import Outbox
from eddy.kernel.store import FileStore, read_map, write_map

MYPY = False
if MYPY:
    from typing import Any, Protocol

    from eddy.kernel.comm import Clock, Link

    class Driver(Protocol):
        """A sensor; real ones are in `targets`."""

        ended: bool

        def read(self, ready: bool) -> "tuple[memoryview[int], int, int] | None":
            """(int16 samples, time_ns, period_ns), or None; `ready` false asks for patience."""


DEFAULTS: "dict[str, Any]" = {
    "window": 10240,  # samples
    "features": ["rms", "mean_abs_difference", "peak_to_peak"],
    "train_windows": 120,
    "trees": 50,
    "subsample": 100,
    "quantile": 980,  # per mille
    "seed": 1,
    "normal_every": 20,  # windows
    "batch": 200,  # bytes of reports on the line at once
}
"""What a device does when its settings say nothing else; the settings of a package change it."""

_BLOCK = 16  # window numbers that are reserved in flash at a time
_MAX_PACKAGE = 16384  # bytes; four times a champion of 50 trees
_CONFIRM = 3  # windows that a new champion must score before it is confirmed
_RETRY_MS = 20000  # line time after which a batch that nobody has acknowledged is sent again


class Agent:
    """One device.

    Args:
        folder: Where its flash is mounted.
        settings: `device`, `class`, `key` (32 bytes) and whatever of `DEFAULTS` differs.
        link: The line to the gateway.
        driver: The sensor.
        clock: Line time.
    """

    def __init__(self, folder: str, settings: "dict[str, Any]", link: "Link", driver: "Driver", clock: "Clock") -> None:
        self._folder = folder
        self._base = dict(DEFAULTS)
        self._base.update(settings)
        self._settings = self._base
        self._driver = driver
        self._clock = clock
        device = settings["device"]
        self._device = device
        self._comm = DataComm(link, primary=False, partial=folder + "/partial", max_object=_MAX_PACKAGE)
        self._windows = Outbox("windows", device, FileStore(folder + "/windows"))
        self._events = Outbox("events", device, FileStore(folder + "/events"))
        self._boxes = (self._events, self._windows)
        self._sent: dict[str, int] = {}  # line time at which a stream's oldest batch left
        self._time_ns = 0
        self._normal = 0  # windows since one was reported
        self._reason = 0  # why the sensor's last window was unusable
        self._told = 0  # dropped samples that the gateway knows of
        self._trial = 0
        self.counts = {"windows": 0, "reported": 0, "anomalies": 0, "unusable": 0, "dropped": 0, "lost": 0, "faults": 0}
        self._deployment = ModelDeployment(folder + "/slots", settings)
        self._training: Instance | None = None
        self._learner: LocalTraining | None = None
        self._inference: Instance | None = None
        index = self._start()
        self._source = DataIn(self._settings["window"], index)
        self._data_in = Instance(self._source, "data_in")
        trial = self._deployment.slots.trial()
        self._event({"e": "boot", "sequence": self._deployment.sequence, "trial": trial, "interpreter": sys.implementation.name})

    # --- life ---

    def _start(self) -> int:
        """Load the champion, or go on with the training; the index of the next window."""
        saved: dict[Any, Any] = read_map(self._folder + "/progress") or {}
        self._reserved: int = saved.get("reserved", 0)  # numbers below it may have been given
        checkpoint = saved.get("training")
        if self._deployment.boot():
            self._load()
            self._trial = _CONFIRM if self._deployment.slots.trial() else 0
        else:
            self._learn(checkpoint)
        return int(self._reserved)

    def _learn(self, checkpoint: bytes | None = None) -> None:
        """Begin to gather windows for a champion, or go on."""
        wanted = self._settings
        self._learner = LocalTraining(
            wanted["features"], wanted["train_windows"], wanted["trees"], wanted["subsample"], wanted["quantile"], wanted["seed"]
        )
        self._training = Instance(self._learner, "training")
        if checkpoint:
            self._training.restore(checkpoint)

    def _load(self) -> None:
        deployment = self._deployment
        if deployment.forest is None:
            return
        self._inference = engine(deployment.forest, deployment.head)
        self._settings = dict(self._base)
        self._settings.update(deployment.head["c"])

    def finished(self) -> bool:
        """The sensor's data have ended and everything said has been acknowledged."""
        return self._driver.ended and self._ready()

    def _ready(self) -> bool:
        """Nothing to train, nothing to send: the sensor may go on. Only a replay waits for it."""
        training = self._learner is not None and self._learner.complete()
        return not training and not any(box.pending() for box in self._boxes) and self._comm.quiet()

    def step(self) -> int:
        """One turn: the line, then one tree, or one chunk of samples.

        Returns:
            Milliseconds of line time to wait for bytes; 0 when there is more to do.
        """
        wait = self._talk()
        if self._training is not None and self._learner is not None and self._learner.complete():
            self._train(self._training)
            return 0
        chunk = self._driver.read(self._ready())
        if chunk is None:
            return wait
        samples, start_ns, period_ns = chunk
        try:
            windows = self._data_in.feed(SAMPLE, Sample("samples", self._device, 0, start_ns, [samples, period_ns]))
        except EddyError:  # samples that cannot be: a period of 0, say
            windows = []
            self._sensor(ABSURD)
        for index, time_ns, row in windows:
            self._time_ns = time_ns
            self._window(index, row)
        self._tell_dropped()
        return 0

    # --- windows ---

    def _window(self, index: int, row: list[int]) -> None:
        self.counts["windows"] += 1
        if index >= self._reserved:
            self._save(index + _BLOCK)
        reason = unusable(row)
        self._sensor(reason)
        if reason:
            self.counts["unusable"] += 1
        else:
            sample = Sample("features", self._device, index, self._time_ns, row)
            if self._inference is not None:
                self._infer(self._inference, sample)
            elif self._training is not None:  # step 1
                self._training.feed(SAMPLE, sample)
                self._save(self._reserved)  # these windows are few, and each one that is known need not be heard again
                self._report([index, -1, TRAINING, 0, row])

    def _sensor(self, reason: int) -> None:
        """Tell when the sensor fails, in which way, and when it is well again."""
        if reason != self._reason:
            self._reason = reason
            self._event({"e": "sensor", "index": self.counts["windows"], "reason": reason})

    def _tell_dropped(self) -> None:
        """Samples before a gap in time that filled no window: told when their number has doubled, so that a usual rest costs no line."""
        self.counts["dropped"] = dropped = self._source.dropped()
        if dropped > 2 * self._told:
            self._told = dropped
            self._event({"e": "dropped", "samples": dropped})

    def _save(self, reserved: int) -> None:
        """Reserve window numbers in flash before they are used, and keep what the training has gathered."""
        training = self._training.checkpoint() if self._training else None
        try:
            write_map(self._folder + "/progress", {"reserved": reserved, "training": training})
            self._reserved = reserved
        except StorageFull:  # the older progress stays: more to repeat after a power cut
            self.counts["lost"] += 1

    def _infer(self, inference: Instance, sample: Sample) -> None:
        """Step 5, and 6: every anomaly and every n-th normal window goes to the gateway."""
        try:
            score, label = inference.feed(SAMPLE, sample)[0]
        except (EddyError, MemoryError):
            if not self._trial:
                raise
            self._revert()
            return
        if self._trial:
            self._trial -= 1
            if not self._trial:
                self._confirm()
        if label == ANOMALOUS:
            self.counts["anomalies"] += 1
        else:
            self._normal += 1
        if label == ANOMALOUS or self._normal >= self._settings["normal_every"]:
            self._report([sample.seq, score, label, self._deployment.sequence, sample.value])
        if self._normal >= self._settings["normal_every"]:
            self._normal = 0

    def _confirm(self) -> None:
        try:
            self._deployment.slots.confirm()
        except StorageFull:  # tried again after the next window; without a place it stays on trial
            self._trial = 1
            self.counts["lost"] += 1
            return
        self._event({"e": "confirmed", "sequence": self._deployment.sequence})

    def _revert(self) -> None:
        """A champion on trial has failed: back to the one before, or to learning when there was none."""
        self._deployment.revert()
        self._trial = 0
        self._inference = None
        self._load()
        if self._inference is None:
            self._learn()
        self._event({"e": "reverted", "sequence": self._deployment.sequence})

    def _train(self, training: Instance) -> None:
        """Step 1, second half: one tree; after the last one step 2 and 3."""
        out = training.feed(TICK, self._time_ns)
        if not out:
            return
        forest: Forest = out[0]
        self._training = self._learner = None  # their memory is needed
        gc.collect()
        try:
            self._deployment.package_local(forest, self._settings["features"])
        except StorageFull as error:
            self._event({"e": "storage", "code": error.code, "why": "the champion is in RAM only: " + str(error)[:60]})
        self._load()
        self._event(
            {
                "e": "trained",
                "trees": forest.trees,
                "subsample": forest.subsample,
                "threshold": forest.threshold,
                "seed": self._settings["seed"],
                "rows": self._settings["train_windows"],
                "features": self._settings["features"],
                "quantile": self._settings["quantile"],
            }
        )
        gc.collect()

    # --- talking ---

    def _report(self, value: list[object]) -> None:
        self.counts["reported"] += 1
        self._keep(self._windows, value)

    def _event(self, value: dict[str, object]) -> None:
        self._keep(self._events, value)

    def _keep(self, box: Outbox, value: object) -> None:
        try:
            box.keep(self._time_ns, value)
        except (StorageFull, SampleError):  # numbered as a gap; or a time that no clock shows
            self.counts["lost"] += 1

    def _talk(self) -> int:
        now = self._clock.now_ms()
        self._comm.listen(now)
        while True:
            came = self._comm.take()
            if came is None:
                break
            kind, data = came
            if kind == ACK:
                self._acknowledge(data)
            elif kind == PACKAGE:
                self._deploy(data)
        self._comm.arq.finished()  # what counts is the hop's acknowledgement
        for box in self._boxes:
            if self._comm.arq.idle() and box.pending() and now - self._sent.get(box.stream, -_RETRY_MS) >= _RETRY_MS:
                self._send(box, now)
        return self._comm.speak(self._clock.now_ms())

    def _acknowledge(self, data: memoryview) -> None:
        for box in self._boxes:
            try:
                if box.acknowledge(bytes(data)):
                    self._sent.pop(box.stream, None)
            except EddyError:  # malformed, or this owner is fenced: nothing is forgotten
                self.counts["faults"] += 1

    def _send(self, box: Outbox, now: int) -> None:
        self._sent[box.stream] = now
        try:
            batch = box.batch(self._settings["batch"])
        except EddyError:  # fenced: another owner speaks for this stream
            self.counts["faults"] += 1
            return
        if batch:
            self._comm.send(HOP, batch)

    def _deploy(self, data: memoryview) -> None:
        """Step 10 at the device; then 3 and 4."""
        gc.collect()
        try:
            self._deployment.receive(data)
            self._load()
        except EddyError as error:
            self._event({"e": "refused", "code": error.code, "why": str(error)[:80], "sequence": self._deployment.slots.sequence()})
            return
        self._trial = _CONFIRM
        self._training = self._learner = None
        self._event({"e": "installed", "sequence": self._deployment.sequence})
        gc.collect()

    def figures(self) -> "dict[str, Any]":
        """Counts of windows, of the line, and the heap as it is now, bytes."""
        gc.collect()
        counts = dict(self.counts)
        counts["overflowed"] = sum([box.overflowed for box in self._boxes])
        used = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
        return {"counts": counts, "line": dict(self._comm.arq.stats), "heap_used": used}
