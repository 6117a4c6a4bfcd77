"""The closed sets of words of the language that other rooms share."""

from typing import Literal, get_args

Level = Literal["device", "gateway", "cloud"]
"""A tier of nodes; as a privacy label, how far data may go: that very node, gateways, anywhere."""

Criterion = Literal["latency", "energy", "traffic", "cost"]

SampleType = Literal["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]

LEVELS: tuple[Level, ...] = get_args(Level)
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
SAMPLE_BYTES: dict[SampleType, int] = {
    **{"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8},
    **{"float32": 4, "float64": 8},
}
