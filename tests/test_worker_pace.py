from nstd.history import Losses
from nstd.worker.messages import Stepped
from nstd.worker.pace import Pace


def step(progress: float) -> Stepped:
    losses = Losses(step=0, total=1, terms={})
    return Stepped(number=1, total=9, progress=progress, level=0, losses=losses)


def test_no_time_is_told_where_there_is_no_progress():
    now = iter([100.0, 110.0, 120.0])
    pace = Pace(lambda: next(now))
    assert [pace.seconds_left(step(progress)) for progress in (0.1, 0.1, 0.05)] == [None, None, None]


def test_time_left_is_extrapolated_from_the_first_step():
    now = iter([100.0, 110.0, 140.0])
    pace = Pace(lambda: next(now))
    assert pace.seconds_left(step(0.1)) is None
    # A tenth in 10 s: eight tenths are left.
    assert round(pace.seconds_left(step(0.2)), 6) == 80
    # Four tenths in 40 s: five are left.
    assert round(pace.seconds_left(step(0.5)), 6) == 50
