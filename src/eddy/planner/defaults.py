"""What functions, nodes and links cost where the app does not say so: figures to compare places by, not measurements of yours.

CPU seconds are for one sample that comes in. On a device: an ESP32 at 240 MHz; scoring a forest is the 8.7 ms at 10 trees that Antonini et
al., Tiny-MLOps (2022), print, the rest is estimated from it (windows and features in compiled code, about 1 µs a number). On gateway and
cloud a core is taken to be 50 times as fast, about what `eddy bench far-edge` shows against the paper. Energy and link figures are orders
of magnitude from data sheets (ESP32 without radio: 0.2 W; a single-board computer: 1.5 W a core; a server: 10 W a core). Nothing here was
measured on hardware.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eddy.spec.vocabulary import Level

FASTER = 50.0  # a core of gateway or cloud against a device's


@dataclass(frozen=True, slots=True)
class Stream:
    """What flows out of a source or function: samples a second, and bytes each."""

    rate_hz: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Needs:
    """What one instance of a function needs, and what comes out of it."""

    cpu_s: Mapping[str, float]
    ram_bytes: int
    flash_bytes: int
    state_bytes: int
    out: Stream


NODES: Mapping[Level, Mapping[str, float]] = {
    "device": {"cores": 1, "memory": 256 << 10, "flash": 1 << 20, "energy_j_per_cpu_s": 0.2, "price_per_h": 0},
    "gateway": {"cores": 4, "memory": 1 << 30, "flash": 8 << 30, "energy_j_per_cpu_s": 1.5, "price_per_h": 0},
    "cloud": {"cores": 16, "memory": 64 << 30, "flash": 1 << 40, "energy_j_per_cpu_s": 10, "price_per_h": 0.8},
}
LINKS: Mapping[str, Mapping[str, float]] = {
    "serial": {"bandwidth": 9600 * 0.8, "latency": 0.02, "energy_j_per_byte": 1e-5, "price_per_gb": 0},
    "ip": {"bandwidth": 1e7, "latency": 0.02, "energy_j_per_byte": 1e-6, "price_per_gb": 0},
}


def needs(use: str, settings: Mapping[str, Any], model: Mapping[str, Any], data: Stream) -> Needs:
    """What a function of the language needs.

    Args:
        use: Which one; an unknown one is somebody's own, taken for 1 ms on a device.
        settings: `size_s`, `features` and `one_in`, as far as it has them.
        model: `trees` and `subsample` of its model.
        data: What comes in, all inputs together.
    """
    rate, size = data.rate_hz, data.bytes
    features, trees, nodes = settings["features"], int(model["trees"]), 2 * int(model["subsample"])
    match use:
        case "window":
            span = rate * settings["size_s"] * size
            figures = (1e-6, round(2 * span), 4 << 10, round(span), Stream(1 / settings["size_s"], span))
        case "features":
            figures = (size / 2 * 1e-6 * features, 8 << 10, 8 << 10, 64, Stream(rate, 8 * features))
        case "model":
            figures = (0.87e-3 * trees, 8 * trees * nodes, 16 << 10, 4 * trees * nodes, Stream(rate, size + 8))
        case "pool":
            figures = (50e-3, 64 << 20, 1 << 20, 256 << 10, Stream(rate, size + 16))
        case "forward":
            figures = (0.1e-3, 4 << 10, 4 << 10, 256, Stream(rate / settings["one_in"], size))
        case "rule" | "alarm":
            figures = (0.1e-3, 4 << 10, 4 << 10, 256, Stream(rate, 16))
        case _:
            figures = (1e-3, 32 << 10, 16 << 10, 4 << 10, data)
    device_s, ram, flash, state, out = figures
    cpu_s = {"gateway": device_s / FASTER, "cloud": device_s / FASTER}
    if use != "pool":  # it needs CPython
        cpu_s["device"] = device_s
    return Needs(cpu_s, ram, flash, state, out)
