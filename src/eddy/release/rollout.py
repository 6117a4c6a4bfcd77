"""Releases to single devices: what is wanted, what is on its way, what the model there said about it.

One package at a time goes to a device, in the order of their sequence numbers:

    wanted → packaged → installed
                  ↘ refused

A package is built when its turn comes, and kept: after a restart the same bytes are sent. It goes in a stream, so it arrives once. The
champion changes when the device says so. A model that a device did not take is never offered to it again; the champion before it stays.
"""

from typing import Any

from eddy.errors import RollbackError, SignatureError, WrongTarget
from eddy.kernel.package import MAX_NUMBER
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import Event
from eddy.knowledge.registry import CANDIDATE, CHAMPION, INSTALLED, PACKAGED, REFUSED, SUPERSEDED, WANTED, Deployment, Registry
from eddy.models.package import check, fingerprint_of, pack

GATEWAY = "gateway"

# Refusals that tell nothing about the model: the key, the name of the device or the count of packages is wrong.
_NOT_THE_MODEL = (SignatureError.code, WrongTarget.code, RollbackError.code)


class Rollout:
    """The releases of all devices of one class.

    Args:
        base: Keeps them.
        registry: The repository in it.
        device_class: Class that the manifests name.
    """

    def __init__(self, base: KnowledgeBase, registry: Registry, device_class: str) -> None:
        self._base, self._registry, self._class = base, registry, device_class

    def want(self, device: str, model: str | None, configuration: dict[str, Any], who: str, why: str) -> int:
        """Ask for a package; it goes out when nothing else is on its way.

        Returns:
            Its sequence.

        Raises:
            SettingError: A configuration that devices do not take.
        """
        check(configuration)
        (heard,) = self._base.connection.execute(
            "SELECT max(number) FROM (SELECT coalesce(json_extract(value, '$.runs'), json_extract(value, '$.sequence')) AS number "
            "FROM events WHERE origin = ?) WHERE typeof(number) = 'integer' AND number BETWEEN 0 AND ?",
            (device, MAX_NUMBER),
        ).fetchone()
        asked = self._registry.deployments(device)
        sequence = 1 + max(heard or 0, asked[-1].sequence if asked else 0)
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
        runs = self._registry.deployments(device, INSTALLED)
        data = pack(
            self._class,
            device,
            one.sequence,
            model.wire if model else None,
            model.features if model else None,
            one.configuration,
            fingerprint_of(runs[-1].data if runs else b""),
        )
        self._registry.packaged(device, one.sequence, data, one.model)
        what = f"package {one.sequence}: " + (f"model {model.id[:12]}" if model else "configuration only")
        self._base.decide("package", GATEWAY, what, device, bytes=len(data), model=one.model, configuration=one.configuration)
        self._base.decide("release", GATEWAY, f"package {one.sequence} goes to the device", device, asked_by=one.who)

    def model_on_its_way(self, device: str) -> bool:
        """Whether a replacement of the champion is wanted or in flight."""
        return any(one.model for one in self._registry.deployments(device, WANTED, PACKAGED))

    def crown(self, device: str, model: str | None, sequence: int, time_ns: int, why: str) -> None:
        """`model` (None: one that the gateway does not hold) runs on the device from now on; the one before it is a candidate again."""
        before = self._registry.champion(device)
        self._registry.crown(device, model, sequence, time_ns, why)  # first of all, so that it is never heard as a voice
        if before and before[0]:
            self._registry.enter(device, before[0], CANDIDATE)
        if model:
            self._registry.enter(device, model, CHAMPION)

    def in_flight(self, device: str) -> Deployment | None:
        """The package that is on its way."""
        found = self._registry.deployments(device, PACKAGED)
        return found[0] if found else None

    def heard(self, event: Event) -> None:
        """A model on a device speaks about a package. One that is not on its way is of a gateway that is no more: what it brought runs.

        Raises:
            SampleError: The event lacks its sequence.
        """
        if event.kind not in ("installed", "refused"):
            return
        one, sequence = self.in_flight(event.origin), event.sequence()
        if event.kind == "refused":
            if one is not None and sequence in (one.sequence, 0):  # 0: it could not even be read
                self._refused(one, event)
        elif one is not None and sequence == one.sequence:
            self._installed(one, event)
        elif sequence not in [known.sequence for known in self._registry.deployments(event.origin, INSTALLED)]:
            self.crown(event.origin, None, sequence, event.time_ns, f"package {sequence} was sent by another gateway")

    def _installed(self, one: Deployment, event: Event) -> None:
        device = one.device
        self._registry.advance(device, one.sequence, INSTALLED)
        self._base.decide("release", device, f"package {one.sequence} installed: it runs", device, event.time_ns, model=one.model)
        model = self._registry.model(one.model) if one.model else None
        configured = ({"threshold": model.parameters["threshold"]} if model else {}) | one.configuration
        self._base.decide("configure", one.who, f"settings of package {one.sequence} in force", device, event.time_ns, **configured)
        if one.model:
            self.crown(device, one.model, one.sequence, event.time_ns, f"package {one.sequence} installed")
        self.next(device)

    def _refused(self, one: Deployment, event: Event) -> None:
        code, device = event.number("code", 0), one.device
        why = f"refused by the device: {event.value.get('why', '')} (code {code})"
        state = SUPERSEDED if code == RollbackError.code else REFUSED
        self._registry.advance(device, one.sequence, state, why)
        self._base.decide("release", device, f"package {one.sequence} {state}", device, event.time_ns, why=why, model=one.model)
        if state == SUPERSEDED:
            self.want(device, one.model, one.configuration, one.who, f"package {one.sequence} again, with a higher number")
            return
        if one.model and code not in _NOT_THE_MODEL:
            self._registry.block(device, one.model, why)
        self.next(device)
