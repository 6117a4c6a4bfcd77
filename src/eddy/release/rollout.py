"""Releases to single devices: what is wanted, what is on its way, what the device said about it.

One package at a time goes to a device, in the order of their sequence numbers:

    wanted → packaged → installed (on trial) → confirmed
                  ↘ refused        ↘ reverted

A package is built and signed when its turn comes, and kept: after a restart the same bytes are sent. It is sent until the device speaks
about it, which is safe because a device takes each sequence once. The champion changes when the device has confirmed. A model that a device
could not take or went back from is never offered to it again; the champion before it stays, or returns.
"""

from typing import Any

from eddy.errors import RollbackError, SignatureError, WrongTarget
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import Event
from eddy.knowledge.registry import (
    CANDIDATE,
    CHAMPION,
    CONFIRMED,
    IN_FLIGHT,
    INSTALLED,
    PACKAGED,
    REFUSED,
    REVERTED,
    SUPERSEDED,
    WANTED,
    Deployment,
    Registry,
)
from eddy.models.package import Signer, check, fingerprint_of, pack

GATEWAY = "gateway"

# Refusals that tell nothing about the model: the key, the name of the device or the count of packages is wrong.
_NOT_THE_MODEL = (SignatureError.code, WrongTarget.code, RollbackError.code)


class Rollout:
    """The releases of all devices of one class.

    Args:
        base: Keeps them.
        registry: The repository in it.
        signer: Signs packages.
        device_class: Class that the manifests name.
    """

    def __init__(self, base: KnowledgeBase, registry: Registry, signer: Signer, device_class: str) -> None:
        self._base, self._registry, self._signer, self._class = base, registry, signer, device_class

    def want(self, device: str, model: str | None, configuration: dict[str, Any], who: str, why: str) -> int:
        """Ask for a package; it goes out when nothing else is on its way.

        Returns:
            Its sequence.

        Raises:
            SettingError: A configuration that devices do not take.
        """
        check(configuration)
        (heard,) = self._base.connection.execute(
            "SELECT max(json_extract(value, '$.sequence')) FROM events WHERE origin = ?", (device,)
        ).fetchone()
        asked = self._registry.deployments(device)
        sequence = 1 + max(heard if isinstance(heard, int) else 0, asked[-1].sequence if asked else 0)
        self._registry.want(device, sequence, model, configuration, who, why)
        self.next(device)
        return sequence

    def next(self, device: str) -> None:
        """Build the package whose turn it is, if one is wanted and nothing is on its way."""
        waiting = self._registry.deployments(device, WANTED)
        if not waiting or self.in_flight(device):
            return
        one = waiting[0]
        model = self._registry.model(one.model) if one.model else None
        runs = self._registry.deployments(device, CONFIRMED)
        data = pack(
            self._class,
            device,
            one.sequence,
            self._signer,
            model.wire if model else None,
            model.features if model else None,
            one.configuration,
            fingerprint_of(runs[-1].data if runs else b""),
        )
        self._registry.packaged(device, one.sequence, data)
        what = f"package {one.sequence}: " + (f"model {model.id[:12]}" if model else "configuration only")
        self._base.decide("package", GATEWAY, what, device, bytes=len(data), model=one.model, configuration=one.configuration)
        self._base.decide("release", GATEWAY, f"package {one.sequence} goes to the device", device, asked_by=one.who)

    def current(self, device: str) -> Deployment | None:
        """The package that should be sent to the device now; None when there is none or the device has it."""
        one = self.in_flight(device)
        return one if one and one.state == PACKAGED else None

    def model_on_its_way(self, device: str) -> bool:
        """Whether a replacement of the champion is wanted or in flight."""
        return any(one.model for one in self._registry.deployments(device, WANTED, *IN_FLIGHT))

    def crown(self, device: str, model: str | None, sequence: int, time_ns: int, why: str) -> None:
        """`model` (None: one that the gateway does not hold) runs on the device from now on; the one before it is a candidate again."""
        before = self._registry.champion(device)
        if before and before[0]:
            self._registry.enter(device, before[0], CANDIDATE)
        if model:
            self._registry.enter(device, model, CHAMPION)
        self._registry.crown(device, model, sequence, time_ns, why)

    def in_flight(self, device: str) -> Deployment | None:
        """The package that is on its way or on trial."""
        found = self._registry.deployments(device, *IN_FLIGHT)
        return found[0] if found else None

    def undeliverable(self, device: str, sequence: int, why: str = "the device's line does not take an object of that size") -> None:
        """The package cannot be brought to the device at all."""
        for one in self._registry.deployments(device, PACKAGED):
            if one.sequence == sequence:
                self._fail(one, REFUSED, why, None, block=True)

    def heard(self, event: Event) -> None:
        """A device speaks about what it runs.

        Raises:
            SampleError: The event lacks its sequence.
        """
        one = self.in_flight(event.origin)
        if event.kind == "refused":
            self._refused(one, event)
        elif event.kind == "boot" and one:
            self._booted(one, event)
        elif event.kind in ("boot", "reverted"):
            self._reverted(one, event)
        elif event.kind in ("installed", "confirmed") and one and event.number("sequence") == one.sequence:
            self._installed(one, event)
            if event.kind == "confirmed":
                self._confirmed(one, event)

    def _booted(self, one: Deployment, event: Event) -> None:
        """What a device runs after a start tells what it could not say before: its power may fail between an act and its event."""
        if event.number("sequence", 0) == one.sequence:
            self._installed(one, event)
            if event.value.get("trial") is False:
                self._confirmed(one, event)
        elif one.state == INSTALLED:
            self._fail(one, REVERTED, "the device came up with what it ran before", event.time_ns, block=True)

    def _installed(self, one: Deployment, event: Event) -> None:
        if one.state == PACKAGED:
            self._registry.advance(one.device, one.sequence, INSTALLED)
            self._base.decide("release", one.device, f"package {one.sequence} installed, on trial", one.device, event.time_ns)

    def _confirmed(self, one: Deployment, event: Event) -> None:
        device = one.device
        self._registry.advance(device, one.sequence, CONFIRMED)
        self._base.decide("release", device, f"package {one.sequence} confirmed: it runs", device, event.time_ns, model=one.model)
        model = self._registry.model(one.model) if one.model else None
        configured = ({"threshold": model.parameters["threshold"]} if model else {}) | one.configuration
        self._base.decide("configure", one.who, f"settings of package {one.sequence} in force", device, event.time_ns, **configured)
        if one.model:
            self.crown(device, one.model, one.sequence, event.time_ns, f"package {one.sequence} confirmed")

    def _refused(self, one: Deployment | None, event: Event) -> None:
        code = event.number("code", 0)
        if one is None or one.state != PACKAGED:
            return  # a second copy of what it has already
        why = f"refused by the device: {event.value.get('why', '')} (code {code})"
        if code == RollbackError.code and "sequence" in event.value:
            self._fail(one, SUPERSEDED, why, event.time_ns, block=False)
            self.want(one.device, one.model, one.configuration, one.who, f"package {one.sequence} again, with a higher number")
        else:
            self._fail(one, REFUSED, why, event.time_ns, block=code not in _NOT_THE_MODEL)

    def _reverted(self, one: Deployment | None, event: Event) -> None:
        """The device went back: from the package on trial, or from a confirmed one that is newer than what it says it runs."""
        device, why = event.origin, "the device went back to what it ran before"
        if one:
            self._fail(one, REVERTED, why, event.time_ns, block=True)
            return
        runs = event.number("sequence")
        for confirmed in reversed(self._registry.deployments(device, CONFIRMED)):
            if confirmed.sequence > runs:
                self._fail(confirmed, REVERTED, why, event.time_ns, block=True)
        champion = self._registry.champion(device)
        if champion and champion[1] > runs:
            self.crown(device, self._registry.speaker(device, runs), runs, event.time_ns, why)

    def _fail(self, one: Deployment, state: str, why: str, time_ns: int | None, block: bool) -> None:
        device = one.device
        self._registry.advance(device, one.sequence, state, why)
        self._base.decide("release", device, f"package {one.sequence} {state}", device, time_ns, why=why, model=one.model)
        if one.model and block:
            self._registry.block(device, one.model, why)
        self.next(device)
