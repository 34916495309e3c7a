"""Times from lists of timestamps, good and bad."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.video.timestamps import EvenTimes, Timeline

STEP = 0.05


def shown(stamps, *, step=STEP, **options):
    return list(Timeline(step, **options).times((stamp, number) for number, stamp in stamps))


def times(stamps, **options):
    return [one.seconds for one in shown(enumerate(stamps), **options)]


def even(count, start=0.0):
    return [start + STEP * number for number in range(count)]


def test_the_picture_in_the_documentation_is_right():
    stamps = [0.0, 0.1, 0.1, 0.3, 9.9, 0.5, None, 0.7, 0.2, 0.9]
    found = shown(enumerate(stamps), step=0.1)
    assert [one.seconds for one in found] == pytest.approx(np.arange(10) / 10)
    assert [one.item for one in found if one.is_guessed] == [2, 4, 8]


@pytest.mark.parametrize("start", [0.0, -7.0, 95000.0, 1.7e9])
def test_good_timestamps_are_kept_as_they_are(start):
    stamps = [start + one for one in (0, 0.04, 0.5, 0.55, 2, 2.04, 60, 600, 600.04)]
    for clocks_restart in (False, True):
        assert times(stamps, clocks_restart=clocks_restart) == stamps


def test_every_third_timestamp_repeated_shifts_nothing():
    stamps = [0.075 * (2 * (n // 3) + min(n % 3, 1)) for n in range(300)]
    found = shown(enumerate(stamps), declared_seconds=14.975)
    assert [one.is_guessed for one in found] == [n % 3 == 2 for n in range(300)]
    for n, one in enumerate(found):
        if n % 3 < 2:
            assert one.seconds == stamps[n]
        else:
            following = stamps[n + 1] if n < 299 else 14.975
            assert one.seconds == pytest.approx((stamps[n] + following) / 2)


@pytest.mark.parametrize("bad", [-1.0, 0.0, 0.3, 4.95, None, 7.0, 1e9])
@pytest.mark.parametrize("place", [1, 50, 100, 198])
def test_one_wrong_timestamp_moves_only_its_own_frame(bad, place):
    stamps = even(200)
    stamps[place] = bad
    for options in ({}, {"clocks_restart": True}, {"declared_seconds": 10.0}):
        found = times(stamps, **options)
        assert found[:place] + found[place + 1 :] == stamps[:place] + stamps[place + 1 :]
        is_good = bad is not None and stamps[place - 1] < bad < stamps[place + 1]
        assert found[place] == (bad if is_good else pytest.approx(place * STEP))


@pytest.mark.parametrize("place", [0, 199])
@pytest.mark.parametrize("bad", [-1.0, None])
def test_wrong_timestamps_at_the_ends_move_only_their_own_frames(place, bad):
    stamps = even(200, start=1.0)
    stamps[place] = None if place == 0 else bad
    found = times(stamps, declared_seconds=10.0)
    assert found == pytest.approx(even(200, start=1.0))


def test_a_first_timestamp_far_too_late_moves_only_its_own_frame():
    stamps = [5000.0, *even(50)[1:]]
    assert times(stamps) == pytest.approx(even(50))


@pytest.mark.parametrize(
    ("length", "offset"), [(2, -2.0), (10, -2.0), (30, -2.0), (5, -10.0), (100, -10.0)]
)
def test_a_clock_that_goes_back_for_a_while_is_not_followed(length, offset):
    stamps = even(400)
    for place in range(210, 210 + length):
        stamps[place] += offset
    found = times(stamps, declared_seconds=20.0)
    assert found[:210] == stamps[:210]
    assert found[210 + length :] == stamps[210 + length :]
    assert found == pytest.approx(even(400), abs=1e-6)


def test_every_fifth_timestamp_of_another_clock_is_passed_over():
    stamps = [stamp - 3.0 * (n % 5 == 4) for n, stamp in enumerate(even(300))]
    assert times(stamps, declared_seconds=15.0) == pytest.approx(even(300))


@pytest.mark.parametrize("overlap", [0.2, 1.0, 5.0])
def test_a_clock_set_back_once_loses_nothing_and_stays_within_the_declared_length(overlap):
    stamps = [stamp - overlap * (n >= 150) for n, stamp in enumerate(even(300))]
    found = times(stamps, declared_seconds=15.0 - overlap)
    again = 150 + round(overlap / STEP)
    assert found[:150] == stamps[:150]
    assert found[again:] == stamps[again:]
    squeezed = np.diff(found[149 : again + 1])
    assert squeezed == pytest.approx(np.full(len(squeezed), STEP / len(squeezed)), rel=1e-6)


@pytest.mark.parametrize("clocks_restart", [False, True])
@pytest.mark.parametrize(("first", "second"), [(20, 60), (60, 20), (200, 200)])
@pytest.mark.parametrize("start", [0.0, 1.4])
def test_a_second_recording_continues_after_the_first(clocks_restart, first, second, start):
    stamps = even(first, start) + even(second, start)
    found = times(stamps, declared_seconds=first * STEP, clocks_restart=clocks_restart)
    assert found == pytest.approx(even(first + second, start))


def test_a_second_recording_keeps_its_own_rhythm():
    second = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.3, 300))
    found = times(even(300, 1000.0) + second.tolist(), clocks_restart=True)
    assert np.diff(found[300:]) == pytest.approx(np.diff(second))
    assert found[300] == pytest.approx(1000.0 + 300 * STEP)


def test_three_recordings_that_go_back_by_less_each_time_follow_each_other():
    stamps = even(100) + even(100, 2.0) + even(100, 4.0)
    assert times(stamps, clocks_restart=True) == pytest.approx(even(300))


def test_a_short_return_of_the_clock_in_a_second_recording_is_not_followed():
    second = even(100, 3.0)
    second[50:53] = [0.0, STEP, 2 * STEP]
    found = times(even(100, 10.0) + second, clocks_restart=True)
    assert found == pytest.approx(even(200, 10.0), abs=1e-6)


@pytest.mark.parametrize("start", [40000.0, 80000.0])
def test_another_recording_that_looks_like_a_gap_of_hours_continues_after_the_first(start):
    wrapped = 2**33 / 90000  # FFmpeg adds this to times before the first one
    stamps = even(100, start) + even(100, wrapped)
    assert times(stamps, clocks_restart=True) == pytest.approx(even(200, start))
    assert times(stamps) == stamps


def test_a_gap_of_minutes_is_kept_where_clocks_may_restart():
    stamps = even(100) + even(100, 700.0)
    assert times(stamps, clocks_restart=True) == stamps


def test_frames_without_timestamps_continue_at_the_usual_rate():
    assert times([None] * 300) == pytest.approx(even(300))
    assert times([None] * 300, declared_seconds=15.0) == pytest.approx(even(300))
    assert not any(one.is_guessed for one in shown(enumerate([None] * 20)))


def test_frames_without_timestamps_at_the_begin_come_before_the_others():
    assert times([None] * 20 + even(20, 1.0)) == pytest.approx(even(40))


def test_timestamps_now_and_then_are_enough():
    stamps = [stamp if n % 12 == 5 else None for n, stamp in enumerate(even(200, 3.0))]
    assert times(stamps) == pytest.approx(even(200, 3.0))


@pytest.mark.parametrize("declared", [0.05, 3.0])
def test_constant_timestamps_stay_within_the_declared_length(declared):
    found = times([2.0] * 1500, declared_seconds=declared, most_waiting=16)
    assert all(later > earlier for earlier, later in itertools.pairwise(found))
    assert found[0] == 2.0
    assert found[-1] < 2.0 + declared + 1e-9


def test_constant_timestamps_continue_at_the_usual_rate_where_no_length_is_declared():
    assert times([2.0] * 300) == pytest.approx(even(300, 2.0))


def test_a_container_that_declares_too_little_does_not_stop_good_timestamps():
    assert times(even(200), declared_seconds=1.0) == even(200)


@pytest.mark.parametrize("most_waiting", [2, 4, 16])
def test_frames_never_wait_for_more_than_they_may(most_waiting):
    stamps = [stamp - 3.0 * (n % 5 == 4) for n, stamp in enumerate(even(100))]
    read = []
    source = (read.append(n) or (stamp, n) for n, stamp in enumerate(stamps))
    timeline = Timeline(STEP, most_waiting=most_waiting)
    for number, one in enumerate(timeline.times(source)):
        assert one.item == number
        assert len(read) <= number + most_waiting


STAMPS = st.one_of(st.none(), st.integers(-50, 400).map(lambda tick: tick / 20))


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.lists(STAMPS, max_size=80),
    st.booleans(),
    st.one_of(st.none(), st.floats(0.01, 40)),
    st.sampled_from([2, 16, 128]),
)
def test_any_timestamps_give_rising_times(stamps, clocks_restart, declared, most_waiting):
    timeline = Timeline(STEP, declared, clocks_restart=clocks_restart, most_waiting=most_waiting)
    found = list(timeline.times((stamp, n) for n, stamp in enumerate(stamps)))
    assert [one.item for one in found] == list(range(len(stamps)))
    assert all(math.isfinite(one.seconds) for one in found)
    assert all(a.seconds < b.seconds for a, b in itertools.pairwise(found))
    if timeline.has_restarted or not found:
        return
    good = [
        (one.seconds, stamp)
        for one, stamp in zip(found, stamps, strict=True)
        if stamp is not None and not one.is_guessed
    ]
    assert all(seconds == stamp for seconds, stamp in good)
    end = math.inf if declared is None else found[0].seconds + declared
    if all(seconds <= end for seconds, _ in good):
        assert all(one.seconds <= end + 1e-6 for one in found)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(0.02, 0.3), min_size=40, max_size=80),
    st.sets(st.integers(1, 38)),
    st.lists(STAMPS, min_size=40, max_size=40),
)
def test_good_timestamps_survive_a_minority_of_bad_ones(gaps, places, bad):
    good = np.cumsum(gaps).tolist()
    stamps = list(good)
    places = sorted(places)[::4]  # apart from each other
    for place in places:
        stamps[place] = bad[place]
    found = times(stamps)
    for n, stamp in enumerate(good):
        if all(abs(n - place) > 2 for place in places):
            assert found[n] == stamp


def test_one_early_timestamp_after_the_first_frame_is_no_restart():
    stamps = [0.25, 0.0, 0.5, *(0.25 * n for n in range(3, 42))]
    assert times(stamps)[2:] == stamps[2:]


def test_even_times_take_the_first_good_frame_at_or_after_each_multiple():
    even_times = EvenTimes(2.0)
    frames = [(10.0, False), (10.45, False), (10.5, True), (10.6, False), (10.99, False)]
    frames += [(11.0, False), (11.4, True), (12.0, True), (12.6, True), (12.7, False)]
    taken = [t for t, guess in frames if even_times.takes(t, is_guessed=guess)]
    assert taken == [10.0, 10.6, 11.0, 12.0, 12.7]


@pytest.mark.parametrize("rate", [1.0, 2.0, 3.0, 7.5, 24.0, 30.0])
@pytest.mark.parametrize("rounded", [lambda t: round(t, 3), lambda t: math.floor(t * 1000) / 1000])
def test_even_times_forgive_containers_that_round_to_milliseconds(rate, rounded):
    even_times = EvenTimes(rate)
    taken = [n for n in range(300) if even_times.takes(rounded(n / 30))]
    assert taken == sorted({math.ceil(k * 30 / rate - 1e-9) for k in range(round(10 * rate))})


def test_even_times_take_every_frame_once_at_high_rates():
    even_times = EvenTimes(1000.0)
    assert sum(even_times.takes(n / 4000) for n in range(400)) == 100
