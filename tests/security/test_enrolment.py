"""Joining: a node proves that it has a token, the hub proves that it is the hub, and a name is one key's."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import (
    CertificateError,
    EddyError,
    KeyFileError,
    NameTaken,
    SettingError,
    TokenExpired,
    TokenRefused,
    TokenRevoked,
    WrongHub,
)
from eddy.security.authority import CERTIFICATE_DAYS, Authority
from eddy.security.identity import Identity, common_name, new_key
from eddy.security.token import Token, read_proof

START = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Authority]:
    authority = Authority(tmp_path / "hub", clock)
    yield authority
    authority.close()


def node(tmp_path: Path, name: str, folder: str | None = None) -> Identity:
    return Identity.load_or_create(tmp_path / (folder or name), name)


def test_a_node_with_a_token_gets_a_certificate_in_its_name_that_is_found_again(hub: Authority, tmp_path: Path) -> None:
    gw1 = node(tmp_path, "gw1")
    assert gw1.expires() is None
    gw1.accept(hub.sign(*gw1.request(hub.issue_token())))
    again = node(tmp_path, "gw1")
    assert again.expires() == datetime.fromtimestamp(START + CERTIFICATE_DAYS * 86400, UTC)
    certificate = x509.load_pem_x509_certificate(again.certificate_file.read_bytes())
    assert common_name(certificate.subject) == "gw1"
    assert hub.nodes() == {"gw1": START + CERTIFICATE_DAYS * 86400}


def test_keys_and_tokens_are_in_files_that_only_their_owner_reads(hub: Authority, tmp_path: Path) -> None:
    gw1 = node(tmp_path, "gw1")
    gw1.accept(hub.sign(*gw1.request(hub.issue_token())))
    for file in (hub.folder / "ca.key", hub.folder / "enrolment.db", gw1.key_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    gw1.key_file.chmod(0o644)
    with pytest.raises(KeyFileError, match="others can read"):
        node(tmp_path, "gw1")


def test_the_secret_of_a_token_does_not_travel(hub: Authority, tmp_path: Path) -> None:
    token = hub.issue_token()
    request, proof = node(tmp_path, "gw1").request(token)
    secret = Token.parse(token).secret
    assert len(secret) >= 16
    _, number, mac = read_proof(proof)
    assert secret not in request + number + mac
    with pytest.raises(TokenRefused):
        Token.parse(proof)
    assert secret.hex() not in repr(Token.parse(token))


def test_a_proof_is_good_for_its_own_request_only(hub: Authority, tmp_path: Path) -> None:
    _, proof = node(tmp_path, "gw1").request(hub.issue_token())
    other, _ = node(tmp_path, "thief").request()
    with pytest.raises(TokenRefused, match="not known"):
        hub.sign(other, proof)


def test_a_token_is_for_one_node_that_may_repeat_itself(hub: Authority, tmp_path: Path) -> None:
    token = hub.issue_token()
    request = node(tmp_path, "gw1").request(token)
    hub.sign(*request)
    assert hub.sign(*request)  # the first answer was lost
    with pytest.raises(TokenRefused, match="used by another node"):
        hub.sign(*node(tmp_path, "gw2").request(token))


def test_a_reusable_token_is_for_many_until_it_is_revoked(hub: Authority, tmp_path: Path) -> None:
    token = hub.issue_token(reusable=True)
    for name in ("gw1", "gw2"):
        hub.sign(*node(tmp_path, name).request(token))
    hub.revoke_token(token)
    with pytest.raises(TokenRevoked):
        hub.sign(*node(tmp_path, "gw3").request(token))
    assert sorted(hub.nodes()) == ["gw1", "gw2"]


def test_nodes_that_join_at_once_all_join(hub: Authority, tmp_path: Path) -> None:
    requests = [node(tmp_path, f"gw{number}").request(hub.issue_token()) for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        issued = [pool.submit(hub.issue_token) for _ in requests]
        signed = list(pool.map(lambda request: hub.sign(*request), requests))
    assert all(signed) and len(hub.nodes()) == 32
    assert hub.sign(*node(tmp_path, "last").request(issued[-1].result()))


def test_a_token_expires(hub: Authority, tmp_path: Path, clock: Clock) -> None:
    token = hub.issue_token(expires_s=60)
    clock.now += 60
    hub.sign(*node(tmp_path, "gw1").request(token))
    clock.now += 1
    with pytest.raises(TokenExpired):
        hub.sign(*node(tmp_path, "gw1").request(token))


def test_a_token_for_a_name_is_for_no_other_name(hub: Authority, tmp_path: Path) -> None:
    with pytest.raises(TokenRefused, match="for gw1"):
        hub.sign(*node(tmp_path, "gw2").request(hub.issue_token("gw1")))


def test_a_name_is_not_taken_twice_by_another_key_unless_the_first_is_removed(hub: Authority, tmp_path: Path) -> None:
    hub.sign(*node(tmp_path, "gw1").request(hub.issue_token()))
    request = node(tmp_path, "gw1", "elsewhere").request(hub.issue_token())
    with pytest.raises(NameTaken):
        hub.sign(*request)
    assert hub.remove("gw1")
    assert not hub.remove("gw1")
    assert hub.sign(*request)


def test_a_node_believes_only_the_hub_that_its_token_names(hub: Authority, tmp_path: Path, clock: Clock) -> None:
    other = Authority(tmp_path / "other", clock)
    gw1 = node(tmp_path, "gw1")
    request, proof = gw1.request(hub.issue_token())
    with pytest.raises(WrongHub, match="token of another hub"):
        other.sign(request, proof)
    forged = other.sign(*node(tmp_path, "gw1").request(other.issue_token()))
    with pytest.raises(WrongHub, match="not from the hub"):
        gw1.accept(forged)
    mixed = forged[: forged.index(b"-----END CERTIFICATE-----\n") + 26] + (hub.folder / "ca.pem").read_bytes()
    with pytest.raises(WrongHub, match="not signed"):
        gw1.accept(mixed)
    assert gw1.expires() is None
    other.close()


def test_a_node_does_not_take_the_certificate_of_another(hub: Authority, tmp_path: Path) -> None:
    gw1, gw2 = node(tmp_path, "gw1"), node(tmp_path, "gw2")
    gw1.request(hub.issue_token())
    with pytest.raises(CertificateError, match="another node or key"):
        gw1.accept(hub.sign(*gw2.request(hub.issue_token())))


def test_a_certificate_is_renewed_with_the_key_that_has_it_and_no_other(hub: Authority, tmp_path: Path, clock: Clock) -> None:
    gw1 = node(tmp_path, "gw1")
    gw1.accept(hub.sign(*gw1.request(hub.issue_token())))
    before = gw1.expires()
    clock.now += 86400
    again = node(tmp_path, "gw1")
    again.accept(hub.renew(again.request()[0]))
    after = again.expires()
    assert before and after and (after - before).days == 1
    with pytest.raises(NameTaken):
        hub.renew(node(tmp_path, "gw1", "elsewhere").request()[0])


def test_the_hub_has_an_identity_that_no_token_gives(hub: Authority, tmp_path: Path, clock: Clock) -> None:
    own = hub.own_identity()
    assert own.name == "@" and own.expires()
    assert hub.nodes() == {}
    with pytest.raises(SettingError):
        hub.issue_token("@")
    with pytest.raises(TokenRefused, match="for a node"):
        hub.sign(*node(tmp_path, "@").request(hub.issue_token(reusable=True)))
    before = own.expires()
    clock.now += (CERTIFICATE_DAYS - 1) * 86400
    assert hub.own_identity().expires() != before
    for file in own.key_file.parent.iterdir():
        file.unlink()
    assert hub.own_identity().expires()


@pytest.mark.parametrize("name", ["", "@gw", "x" * 65, "two\nlines"])
def test_a_name_that_no_node_can_have_is_refused(hub: Authority, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="no name for a node"):
        hub.issue_token(name)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if 0 < len(name) <= 64 else []
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(new_key(), hashes.SHA256())
    with pytest.raises(CertificateError):
        hub.sign(request.public_bytes(Encoding.PEM), "")


def test_a_folder_belongs_to_one_node(hub: Authority, tmp_path: Path) -> None:
    gw1 = node(tmp_path, "gw1")
    gw1.accept(hub.sign(*gw1.request(hub.issue_token())))
    with pytest.raises(KeyFileError, match="identity of gw1, not of gw2"):
        node(tmp_path, "gw2", "gw1")


def test_an_authority_that_starts_again_is_the_same(tmp_path: Path) -> None:
    first = Authority(tmp_path)
    token = first.issue_token()
    first.close()
    second = Authority(tmp_path)
    gw1 = node(tmp_path, "gw1")
    gw1.accept(second.sign(*gw1.request(token)))
    second.close()
    assert gw1.expires()


def test_an_authority_whose_files_do_not_belong_together_does_not_start(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Authority(tmp_path / name).close()
    (tmp_path / "one" / "ca.pem").write_bytes((tmp_path / "two" / "ca.pem").read_bytes())
    with pytest.raises(KeyFileError, match="not the certificate of"):
        Authority(tmp_path / "one")
    (tmp_path / "one" / "ca.pem").write_text("nonsense")
    with pytest.raises(KeyFileError, match="not a readable"):
        Authority(tmp_path / "one")


@given(st.text(max_size=120))
def test_what_is_no_token_is_refused_by_name(text: str) -> None:
    with pytest.raises(TokenRefused, match="no join token"):
        Token.parse(text)
    with pytest.raises(TokenRefused, match="no proof"):
        read_proof(text)


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_token_survives_being_written_down(number: bytes, secret: bytes, fingerprint: bytes) -> None:
    token = Token.parse(f" {Token(number, secret, fingerprint)}\n")
    assert (token.number, token.secret, token.fingerprint) == (number, secret, fingerprint)


def test_whatever_bytes_come_as_a_request_or_an_answer_only_errors_of_ours_leave(hub: Authority, tmp_path: Path) -> None:
    gw1 = node(tmp_path, "gw1")
    request, proof = gw1.request(hub.issue_token())
    chain = hub.sign(request, proof)
    for at in range(0, len(request), 7):
        with pytest.raises(EddyError):
            hub.sign(request[:at] + b"#" + request[at + 1 :], proof)
    for at in range(0, len(chain), 11):
        damaged = chain[:at] + b"#" + chain[at + 1 :]
        try:
            gw1.accept(damaged)
        except EddyError:
            continue
        same = x509.load_pem_x509_certificates(damaged) == x509.load_pem_x509_certificates(chain)  # padding says nothing
        assert same, f"a chain with a damaged byte {at} was accepted"
