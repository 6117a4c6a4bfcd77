import os

from eddy.kernel import store
from eddy.kernel.batch import OVERFLOW, REBOOT, Batch, Gap
from eddy.kernel.codec import encode
from eddy.kernel.filestore import FileStore
from eddy.kernel.hop import Inbox, Outbox

SECOND = 1000000000
START = 1700000000 * SECOND


def sweep(folder):
    for name in os.listdir(folder):
        os.remove(folder + "/" + name)


def folder():
    path = "eddy-conformance-hop"
    store.make_folder(path)
    sweep(path)
    return path


def drain(out, inbox):
    values = []
    while out.pending():
        batch = out.batch(160)
        assert len(batch) <= 160
        for record in inbox.offer(batch):
            values.append(record.value)
            assert isinstance(record.value, Gap) or record.time_ns == START + record.value * SECOND // 2
        inbox.commit()
        for ack in inbox.acks():
            assert out.acknowledge(ack)
    return values


def keep(out, first, last):
    for sample in range(first, last):
        out.keep(START + sample * SECOND // 2, sample)


def check_a_hop_over_every_store():
    for kept in (store.RamStore(), FileStore(folder(), segment=100)):
        out = Outbox("windows", "pump-3", kept, capacity=16)
        keep(out, 0, 10)
        inbox = Inbox()
        assert drain(out, inbox) == list(range(10))
        keep(out, 10, 40)
        values = drain(out, inbox)
        assert values[0].first == 10 and values[0].reason == OVERFLOW
        assert values[1:] == list(range(values[0].last + 1, 40)) and len(values) > 12
    sweep(folder())


def check_a_reboot_skips_the_block_and_repeats_what_was_kept():
    path = folder()
    inbox = Inbox()
    keep(Outbox("windows", "pump-3", FileStore(path), block=16), 0, 5)
    out = Outbox("windows", "pump-3", FileStore(path), block=16)
    keep(out, 5, 6)
    records = Batch(out.batch(200)).records
    assert [record.replayed for record in records] == [True] * 6 + [False]
    assert drain(out, inbox) == [0, 1, 2, 3, 4, Gap(5, 15, REBOOT), 5]
    sweep(path)


def check_a_batch_is_the_documented_array():
    kept = store.RamStore()
    kept.put({1: 0, 2: 0, 3: 0, 4: 70000, 5: b"abc"})
    out = Outbox("windows", "pump-3", kept, term=2)
    for sample in range(4):
        out.keep(START + sample * sample * SECOND // 2, [sample, -sample, 1000])
    batch = out.batch(200)
    samples = [START, [0, 0, 1000], 1, [1, -1, 1000], 3, [2, -2, 1000], 5, [3, -3, 1000]]
    assert batch == encode(["windows", "pump-3", 2, 70000, 0, b"abc", SECOND // 2] + samples)
