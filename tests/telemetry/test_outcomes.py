"""Counts of what happened lately."""

from gateway.telemetry.outcomes import WINDOW_S, Counts, ProviderOutcomes, RecentOutcomes


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_long_ago_no_longer_counts() -> None:
    """Each minute leaves the window as a whole, and nothing is older than the window."""
    clock = Clock()
    outcomes = RecentOutcomes(clock)
    outcomes.add(failed=True)
    clock.now += 60
    outcomes.add(failed=False)
    assert outcomes.counts() == Counts(2, 1)
    clock.now += WINDOW_S - 60
    assert outcomes.counts() == Counts(1, 0)
    clock.now += 60
    assert outcomes.counts() == Counts(0, 0)


def test_a_minute_after_a_long_pause_counts_alone() -> None:
    """What was before the pause is gone."""
    clock = Clock()
    outcomes = RecentOutcomes(clock)
    for _ in range(10):
        outcomes.add(failed=True)
        clock.now += 60
    clock.now += 86_400
    outcomes.add(failed=False)
    assert outcomes.counts() == Counts(1, 0)


def test_the_error_rate_is_a_share() -> None:
    """Of no attempts it is zero."""
    assert (Counts().error_rate, Counts(4, 1).error_rate) == (0, 0.25)


def test_providers_that_are_gone_are_forgotten() -> None:
    """After a reload their counts start anew."""
    outcomes = ProviderOutcomes()
    outcomes.add("openai", failed=True)
    outcomes.add("gemini", failed=False)
    outcomes.keep(["gemini"])
    assert (outcomes.counts("openai"), outcomes.counts("gemini")) == (Counts(), Counts(1, 0))
