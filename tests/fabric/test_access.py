"""Who is let in, and what they may say and hear: mutual TLS, and access by the name in the certificate."""

import json
import subprocess
import sys

import pytest
from company import Company, repeat

from eddy.errors import SettingError
from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.kernel.assignment import ASSIGN, message
from eddy.security.authority import Authority
from eddy.security.identity import Identity

ORDER = message(ASSIGN, ["nothing"])


def until(sender: Mesh, to: str, receiver: Mesh, last: bytes) -> set[bytes]:
    """All that has come when this has, and a little after: what one end sends under two keys may change places."""
    came: set[bytes] = set()
    assert repeat(lambda: sender.send(to, last), lambda: came.update(receiver.take(0.02)) or last in came)
    return came | set(receiver.take(0.2))


def overhear(spy: Mesh, key: str) -> list[bytes]:
    """What a node gets that declares whatever it likes, beyond what a `Mesh` does."""
    heard: list[bytes] = []
    spy._session.declare_subscriber(key, lambda sample: heard.append(bytes(sample.payload)))
    return heard


def test_nodes_and_hub_with_certificates_hear_each_other(company: Company) -> None:
    hub, a, b = company.hub(), company.node("a"), company.node("b")
    assert set(repeat(lambda: a.send("@b", b"to b"), lambda: b.take(0.02))) == {b"to b"}
    assert set(repeat(lambda: a.send("@", b"to the hub"), lambda: hub.take(0.02))) == {b"to the hub"}
    assert set(repeat(lambda: hub.send("@a", ORDER), lambda: a.take(0.02))) == {ORDER}


def test_orders_come_from_the_hub_only(company: Company) -> None:
    company.hub()
    a, spy = company.node("a"), company.node("spy")
    until(spy, "@a", a, b"here")
    until(a, "@spy", spy, b"here")
    spy.send("@a", ORDER)
    spy._session.put("eddy/order/a", ORDER)
    assert until(spy, "@a", a, b"last") <= {b"here", b"last"}


def test_what_is_for_the_hub_is_heard_by_the_hub_only(company: Company) -> None:
    hub, a, spy = company.hub(), company.node("a"), company.node("spy")
    heard = [overhear(spy, key) for key in ("eddy/hub", "eddy/**")]
    until(spy, "@a", a, b"it has declared what it likes")
    until(a, "@", hub, b"secret")
    until(a, "@spy", spy, b"last")
    assert not any(b"secret" in one for one in heard)


def test_a_node_hears_only_what_is_for_itself_where_names_are_known(company: Company) -> None:
    names = ["a", "b", "spy"]
    company.hub(names)
    a, b, spy = (company.node(name, names) for name in names)
    heard = overhear(spy, "eddy/node/b")
    until(spy, "@a", a, b"it has declared what it likes")
    until(a, "@b", b, b"secret")
    until(a, "@spy", spy, b"last")
    assert heard == []


def test_a_node_cannot_pretend_that_the_hub_is_there(company: Company) -> None:
    hub, a, spy = company.hub(), company.node("a"), company.node("spy")
    until(spy, "@a", a, b"here")
    assert repeat(lambda: a.take(0.02), lambda: a.here() == ["@", "@spy"])
    hub.close()
    assert repeat(lambda: a.take(0.02), a.gone) == ["@"]
    pretended = [spy._session.liveliness().declare_token(f"eddy/alive/{key}/1") for key in ("hub", "node/b")]
    assert repeat(lambda: a.take(0.02), lambda: "@b" in a.here())  # names of nodes are told apart only where they are known
    assert a.here() == ["@b", "@spy"]
    assert len(pretended) == 2


def test_a_node_whose_name_is_not_known_is_not_heard(company: Company) -> None:
    hub, a = company.hub(["a"]), company.node("a", ["a"])
    stranger = company.node("stranger", ["a"])
    until(a, "@", hub, b"here")
    assert not repeat(lambda: stranger.send("@", b"hello"), lambda: b"hello" in hub.take(0.02), 0.3)
    assert hub.here() == ["@a"]


def test_a_node_of_another_hub_or_with_a_made_up_certificate_gets_no_link(company: Company) -> None:
    hub, a = company.hub(), company.node("a")
    until(a, "@", hub, b"here")
    other = Authority(company.folder / "other")
    thief = Identity.load_or_create(company.folder / "thief", "a")
    thief.accept(other.sign(*thief.request(other.issue_token())))
    mesh = company.keep(Mesh(["@a"], free_endpoint("tls"), [company.endpoint], thief))
    assert not repeat(lambda: mesh.send("@", b"let me in"), lambda: b"let me in" in hub.take(0.02), 0.5)
    other.close()


_STRANGER = """
import json, sys, zenoh
config = zenoh.Config()
for name, value in json.loads(sys.argv[1]).items():
    config.insert_json5(name, json.dumps(value))
try:
    with zenoh.open(config) as session:
        session.put("eddy/hub", b"hello")
        print("linked" if session.info.peers_zid() or session.info.routers_zid() else "no link")
except zenoh.ZError:
    print("no link")
"""


@pytest.mark.slow
@pytest.mark.parametrize("certified", [False, True])
def test_a_process_without_a_certificate_is_refused(company: Company, certified: bool) -> None:
    hub, a = company.hub(), company.identity("a")
    tls = {"root_ca_certificate": str(a.authority_file), "verify_name_on_connect": False}
    if certified:
        tls |= {"connect_certificate": str(a.certificate_file), "connect_private_key": str(a.key_file), "enable_mtls": True}
    settings = {
        "mode": "client",
        "connect/endpoints": [company.endpoint],
        "connect/timeout_ms": 2000,
        "scouting/multicast/enabled": False,
        "transport/link/tls": tls,
    }
    command = [sys.executable, "-c", _STRANGER, json.dumps(settings)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said == ("linked\n" if certified else "no link\n")
    assert hub.take(1 if certified else 0) == ([b"hello"] if certified else [])


@pytest.mark.slow
def test_hub_and_node_processes_speak_over_mutual_tls(company: Company) -> None:
    looking = company.keep(Mesh(["test"], company.endpoint, [], company.identity("test")))
    node, hub = company.identity("gw"), company.authority.folder
    commands = [
        ["eddy.node.service", "--name", "gw", "--dir", str(company.folder), "--identity", str(node.key_file.parent)],
        ["eddy.hub.service", "--dir", str(hub), "--api", "127.0.0.1:0"],
    ]
    ends = ["--connect", company.endpoint, "--listen"]
    processes = [subprocess.Popen([sys.executable, "-m", *command, *ends, free_endpoint("tls")]) for command in commands]
    try:
        assert repeat(lambda: looking.take(0.02), lambda: looking.here() == ["@", "@gw"], 20)
    finally:
        for process in processes:
            process.terminate()
            assert process.wait(timeout=10) == 0


def test_an_end_takes_only_endpoints_that_suit_its_identity(company: Company) -> None:
    with pytest.raises(SettingError, match="only tls/"):
        Mesh([], free_endpoint(), [], company.identity("a"))
    with pytest.raises(SettingError, match="without an identity"):
        Mesh([], free_endpoint("tls"))
    with pytest.raises(SettingError, match="join the hub"):
        Mesh([], free_endpoint("tls"), [], Identity.load_or_create(company.folder / "new", "new"))
