from sandbox.limits import PenaltyWindow, SlidingWindow


def test_a_window_admits_its_limit_and_slides() -> None:
    window = SlidingWindow(limit=2, window_ms=100)
    assert [window.admit(at_ms) for at_ms in (0, 10, 20, 99, 100, 105, 110)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_a_window_without_limit_admits_everything() -> None:
    window = SlidingWindow(limit=0, window_ms=100)
    assert all(window.admit(0) for _ in range(1000))


def test_a_penalty_refuses_everything_for_its_time() -> None:
    limit = PenaltyWindow(SlidingWindow(limit=1, window_ms=10), penalty_ms=100)
    assert [limit.admit(at_ms) for at_ms in (0, 5, 50, 104, 106)] == [True, False, False, False, True]


def test_a_penalty_can_be_begun_by_hand() -> None:
    limit = PenaltyWindow(SlidingWindow(limit=5, window_ms=10), penalty_ms=100)
    limit.punish(0)
    assert [limit.admit(at_ms) for at_ms in (1, 99, 101)] == [False, False, True]
