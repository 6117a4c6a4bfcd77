from binascii import unhexlify

from vectors import load

from eddy.kernel import package
from eddy.kernel.errors import EddyError, ManifestError, RollbackError, SignatureError, WrongTarget


def packed(name):
    vectors = load("package")
    return unhexlify(vectors["packages"][name]), unhexlify(vectors["public_key"])


def refused(error, data, key, device="pump-1", cls="pump", last=6):
    try:
        package.open_package(data, key, device, cls, last)
    except EddyError as raised:
        assert type(raised) is error, (raised, error)
        return
    raise AssertionError("taken")


def check_a_good_package_opens():
    vectors = load("package")
    data, key = packed("good")
    manifest, body = package.open_package(data, key, "pump-1", "pump", 6)
    assert manifest.sequence == 7 and len(manifest.predecessor) == 8
    assert body["m"] == unhexlify(vectors["model"])
    assert body["f"] == vectors["features"]
    assert body["c"] == vectors["configuration"]


def check_a_package_without_a_model_reconfigures():
    data, key = packed("configuration only")
    manifest, body = package.open_package(memoryview(data), key, "pump-1", "pump", 7)
    assert manifest.predecessor == b"" and list(body) == ["c"]


def check_the_same_fields_build_the_same_bytes():
    vectors = load("package")
    data, _ = packed("good")
    manifest, signature, body = package.read(data)
    again = package.encode_body(unhexlify(vectors["model"]), vectors["features"], vectors["configuration"])
    assert again == bytes(body)
    built = package.build("pump", "pump-1", 7, again, lambda signed: signature, predecessor=manifest.predecessor)
    assert built == data


def check_wrong_target_and_rollback_are_refused():
    data, key = packed("good")
    refused(WrongTarget, data, key, device="pump-2")
    refused(WrongTarget, data, key, cls="fan")
    refused(RollbackError, data, key, last=7)
    refused(RollbackError, data, key, last=8)


def check_foreign_signatures_are_refused():
    for name in ("another key", "no domain"):
        data, key = packed(name)
        refused(SignatureError, data, key)


def check_cut_packages_are_refused():
    data, key = packed("good")
    for end in range(0, len(data), 5):
        refused(ManifestError, data[:end], key)
    refused(ManifestError, data + b"\0", key)


def check_a_sample_of_single_bit_changes_is_refused():
    data, key = packed("good")
    changed = bytearray(data)
    for bit in range(0, 8 * len(data), 41):
        changed[bit >> 3] ^= 1 << (bit & 7)
        try:
            package.open_package(changed, key, "pump-1", "pump", 6)
            raise AssertionError(bit)
        except EddyError:
            pass
        changed[bit >> 3] ^= 1 << (bit & 7)
    assert changed == data
