from binascii import unhexlify

from vectors import load

from eddy.kernel import seal

# RFC 8032, 7.1, TEST 1 to 3.
PUBLISHED = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


def check_published_signatures_pass():
    for public, message, signature in PUBLISHED:
        assert seal.verify(unhexlify(public), unhexlify(message), unhexlify(signature)), message


def check_signatures_of_another_implementation_pass():
    for public, message, signature in load("seal")["signed"]:
        assert seal.verify(unhexlify(public), unhexlify(message), unhexlify(signature)), message


def check_forgeries_fail():
    for what, parts in load("seal")["forged"].items():
        public, message, signature = [unhexlify(part) for part in parts]
        assert seal.verify(public, message, signature) is False, what


def check_views_are_taken_like_bytes():
    public, message, signature = [memoryview(unhexlify(part)) for part in PUBLISHED[2]]
    assert seal.verify(public, message, signature)


def check_hash():
    for length, digest in load("seal")["sha512"]:
        assert seal.sha512(b"\xa5" * length) == unhexlify(digest), length
