from eddy.kernel.clock import ManualClock, SystemClock


def check_the_system_clock_starts_at_zero_and_does_not_run_backwards():
    for scale in (1, 1000):
        clock = SystemClock(scale)
        last = clock.now_ms()
        assert 0 <= last < 1000 * scale
        for _ in range(200):
            now = clock.now_ms()
            assert now >= last
            last = now


def check_the_system_clock_runs():
    clock = SystemClock(1000)
    calls = 0
    while clock.now_ms() == 0:
        calls += 1
        assert calls < 10000000


def check_the_manual_clock_moves_only_when_told():
    clock = ManualClock(40)
    clock.advance(2)
    clock.advance(0)
    assert clock.now_ms() == 42
    assert clock.now_ms() == 42
