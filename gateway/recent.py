"""A memory of what was used lately."""

from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(dict[K, V]):
    """The values that were used lately: at least the last `size` of them, at most twice as many.

    What is asked for in the usual ways costs what a dictionary costs. Look into `older` for what is not there: it may
    have been used before the last `size` others. `keep` it again then.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size: Final = size
        self.older: dict[K, V] = {}

    def keep(self, key: K, value: V) -> V:
        """Keep a value, and return it."""
        if len(self) >= self._size:
            self.older = dict(self)
            self.clear()
        self[key] = value
        return value
