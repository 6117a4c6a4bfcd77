import os

from eddy.kernel.comm import FABRIC, DataComm

OTHER = 79


class Pipe:
    def __init__(self):
        self.coming = b""
        self.other = None

    def read(self):
        data = self.coming
        self.coming = b""
        return data

    def write(self, data):
        self.other.coming += data


def connect(partial=None):
    one, two = Pipe(), Pipe()
    one.other, two.other = two, one
    return DataComm(one, True), DataComm(two, False, partial)


def turn(ends, now):
    came = []
    for end in ends:
        end.listen(now)
        while True:
            item = end.take()
            if item is None:
                break
            came.append(item)
        end.speak(now)
    return came


def check_objects_arrive_with_their_kind_in_both_directions():
    ends = connect()
    ends[0].send(FABRIC, b"p" * 700)
    ends[1].send(OTHER, b"h" * 30)
    came = []
    for now in range(0, 60000, 50):
        came += turn(ends, now)
    assert sorted(came) == [(FABRIC, b"p" * 700), (OTHER, b"h" * 30)]
    assert ends[0].quiet() and ends[1].quiet()


def check_an_unfinished_object_goes_on_after_a_reset_from_what_flash_kept():
    path = "partial"
    data = bytes([i * 7 & 255 for i in range(6000)])
    gateway, device = connect(path)
    gateway.send(FABRIC, data)
    now = 0
    while not (device.arq.partial() and device.arq.partial()[2] > 3000):
        turn((gateway, device), now)
        now += 50
    sent = gateway.arq.stats["bytes_sent"]
    again, device = connect(path)  # both ends lose what they had in RAM
    again.send(FABRIC, data)
    came = []
    for now in range(0, 120000, 50):
        came += turn((again, device), now)
    assert came == [(FABRIC, data)]
    assert again.arq.stats["bytes_sent"] < 6000 + 600 - 2400, (sent, again.arq.stats)
    assert path not in os.listdir(".")
