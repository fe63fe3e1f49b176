"""Whether the server takes new calls."""


class Lifecycle:
    """Starts serving; `drain` is final."""

    def __init__(self) -> None:
        self.draining = False

    def drain(self) -> None:
        """Take no new calls from now on."""
        self.draining = True
