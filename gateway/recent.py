"""A memory of what was used lately."""

from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(dict[K, V]):
    """The values that were used lately: at least the last `size` of them, at most twice as many.

    What is asked for in the usual ways costs what a dictionary costs. Ask `recall` for what is not there: it may have
    been there before the last `size` others.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size: Final = size
        self._older: dict[K, V] = {}

    def recall(self, key: K) -> V | None:
        """Return a value that is not here any more but still known, and keep it anew; None if there is none."""
        value = self._older.get(key)
        return None if value is None else self.keep(key, value)

    def keep(self, key: K, value: V) -> V:
        """Keep a value, and return it."""
        if len(self) >= self._size:
            self._older = dict(self)
            self.clear()
        self[key] = value
        return value
