from vectors import load

from eddy.kernel.drift import PageHinkley


def check_alarms_at_the_oracles_samples():
    for case in load("drift"):
        test = PageHinkley(case["delta"], case["threshold"], case["minimum"])
        alarms = [at for at, sample in enumerate(case["samples"]) if test.update(sample)]
        assert alarms == case["alarms"] and alarms


def check_a_restored_test_goes_on():
    case = load("drift")[0]
    test = PageHinkley(case["delta"], case["threshold"], case["minimum"])
    alarms = []
    for at, sample in enumerate(case["samples"]):
        if test.update(sample):
            alarms.append(at)
        twin = PageHinkley(case["delta"], case["threshold"], case["minimum"])
        twin.restore(test.state())
        test = twin
    assert alarms == case["alarms"]
