"""Broker, node, hub and the writer of the lake are killed at random: what a sender was told to be kept is in the lake, exactly once."""

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from kept import LAKE, acknowledged, app_and_senders, arrived, found, report, told
from running import Running
from senders import Mosquitto

VICTIMS = ("gw", "broker", "hub", "lake")


def kills(folder: Path, count: int, seed: int) -> None:
    """Kill so many times, and compare."""
    chance = random.Random(seed)
    victims: Counter[str] = Counter()
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker"))
        text, senders = app_and_senders(broker)
        app = stack.enter_context(Running(folder / "app", text))
        lake = folder / "app" / LAKE
        for sender in senders.values():
            stack.enter_context(sender)
        told(app, senders, 50)
        for number in range(count):
            victim = chance.choice(VICTIMS) if number >= len(VICTIMS) else VICTIMS[number]
            victims[victim] += 1
            if victim == "broker":
                broker.again()
            else:
                app.kill(victim)
            told(app, senders, chance.choice([0, 1, 20, 100]))
            if number % 20 == 19:
                report(kills=number + 1, acknowledged={name: len(sender.acknowledged) for name, sender in senders.items()})
        told(app, senders, 50)
        for sender in senders.values():
            sender.__exit__(None, None, None)
        kept = acknowledged(senders)
        app.until(lambda: all(kept[name] <= arrived(lake, name).keys() for name in senders), 60)
    there = {name: found(lake, name) for name in senders}
    report(
        victims=victims,
        acknowledged={name: len(numbers) for name, numbers in kept.items()},
        there={name: len(numbers) for name, numbers in there.items()},
        doubled={name: sum(many > 1 for many in numbers.values()) for name, numbers in there.items()},
        again={name: sender.again for name, sender in senders.items()},
    )
    for name, sender in senders.items():
        assert kept[name] <= there[name].keys() <= set(range(sender.next)), name
        assert set(there[name].values()) == {1}, name
        assert sender.again >= 1, name  # else nothing was cut off


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_was_acknowledged_is_in_the_lake_once_when_broker_node_hub_and_lake_are_killed(tmp_path: Path) -> None:
    kills(tmp_path, 4, 1)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_two_hundred_kills_of_broker_node_and_hub(tmp_path: Path) -> None:
    kills(tmp_path, 200, 2)  # half an hour
