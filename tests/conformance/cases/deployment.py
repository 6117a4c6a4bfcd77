from array import array
from binascii import unhexlify

from vectors import load

from eddy.kernel.deployment import ModelDeployment
from eddy.kernel.errors import EddyError, ModelError, RollbackError
from eddy.kernel.trainer import Trainer

FEATURES = ["rms", "kurtosis", "mean"]


def identity():
    return {"key": unhexlify(load("package")["public_key"]), "device": "pump-1", "class": "pump"}


def packed(name):
    return unhexlify(load("package")["packages"][name])


def champion():
    trainer = Trainer(array("i", [i * i % 251 for i in range(90)]), 3, 5, 16, 1)
    while trainer.step():
        pass
    return trainer.forest()


def refused(error, deployment, data):
    try:
        deployment.receive(data)
    except EddyError as raised:
        assert isinstance(raised, error), raised
        return
    raise AssertionError("taken")


def check_a_champion_born_here_runs_again_after_a_reboot():
    one = ModelDeployment("born", identity())
    assert not one.boot()
    one.package_local(champion(), FEATURES)
    two = ModelDeployment("born", identity())
    assert two.boot() and two.sequence == 0
    assert two.head["f"] == FEATURES
    assert two.forest.to_image() == champion().to_image()


def check_a_signed_configuration_applies_once_and_what_cannot_run_is_refused():
    deployment = ModelDeployment("configured", identity())
    refused(EddyError, deployment, packed("configuration only"))  # nothing runs yet that it could configure
    deployment.package_local(champion(), FEATURES)
    refused(ModelError, deployment, packed("good"))  # well signed, but its model is none
    deployment.receive(packed("configuration only"))
    assert deployment.sequence == 8 and deployment.head["c"] == load("package")["configuration"]
    refused(RollbackError, deployment, packed("configuration only"))
    deployment.revert()
    assert deployment.sequence == 0 and deployment.head["c"] == {}
