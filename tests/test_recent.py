"""What was used lately is remembered, and no more than that."""

from gateway.recent import Recent


def test_what_was_used_lately_is_remembered() -> None:
    """The last three, whatever came before them."""
    recent = Recent[int, str](3)
    for number in range(10):
        recent.keep(number, str(number))

    assert [recent.get(number) or recent.older.get(number) for number in (7, 8, 9)] == ["7", "8", "9"]


def test_what_was_not_used_lately_is_forgotten() -> None:
    """However much there was."""
    recent = Recent[int, str](3)
    for number in range(1000):
        recent.keep(number, str(number))

    known = [number for number in range(1000) if number in recent or number in recent.older]

    assert 3 <= len(known) <= 6
    assert known[-1] == 999


def test_what_is_used_again_and_again_stays() -> None:
    """It is kept again each time that it is about to be forgotten."""
    recent = Recent[str, int](3)
    recent.keep("often", 1)
    for number in range(100):
        assert recent.get("often") or recent.keep("often", recent.older["often"]) == 1
        recent.keep(str(number), 0)
