from eddy.kernel.function import SAMPLE, TICK, Function, Instance, Sample


class Sum(Function):
    def __init__(self):
        self.total = 0

    def on(self, sample):
        self.total += sample.value
        return [self.total]

    def tick(self, time_ns):
        return [time_ns]

    def state(self):
        return {"total": self.total, "seen": [True, None, b"x"]}

    def restore(self, state):
        self.total = state["total"]


def check_a_checkpoint_has_the_same_bytes_everywhere():
    one = Instance(Sum(), "sum", b"\x01")
    one.feed(SAMPLE, Sample("s", "o", 0, 0, -5))
    one.feed(TICK, 1 << 60)
    expected = "856373756d41010102a2647365656e83f5f6417865746f74616c24"
    assert bytes(one.checkpoint()) == bytes([int(expected[i : i + 2], 16) for i in range(0, len(expected), 2)])


def check_it_goes_on_from_a_checkpoint():
    one = Instance(Sum(), "sum")
    one.feed(SAMPLE, Sample("s", "o", 0, 0, 40))
    two = Instance(Sum(), "sum")
    two.restore(one.checkpoint())
    assert two.feed(SAMPLE, Sample("s", "o", 1, 0, 2)) == [42]
    assert two.position == 2
