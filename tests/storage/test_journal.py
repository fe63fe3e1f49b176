"""The journal of one process."""

import os
from pathlib import Path

import pytest

from gateway.storage.journal import Journal, orphans


def _abandon(journal: Journal) -> None:
    """Lose the journal's locks as a killed process does."""
    os.close(journal._file)
    os.close(journal._lock)


def test_lines_survive_their_process(tmp_path: Path) -> None:
    """What was appended is read back in order, over several segments."""
    journal = Journal(tmp_path)
    journal.append(b"one\n")
    journal.rotate()
    journal.append(b"two\n")
    _abandon(journal)

    (orphan,) = orphans(tmp_path)

    assert orphan.name == journal.name
    assert list(orphan.lines()) == [b"one\n", b"two\n"]


def test_a_living_process_keeps_its_journal(tmp_path: Path) -> None:
    """Nobody takes over the journal of a process that lives."""
    journal = Journal(tmp_path)
    journal.append(b"one\n")

    assert list(orphans(tmp_path)) == []
    journal.close(delete=True)


def test_one_process_takes_an_orphan(tmp_path: Path) -> None:
    """While one takes over, no other one does; when it is done, nothing is left."""
    _abandon(Journal(tmp_path))
    for orphan in orphans(tmp_path):
        assert list(orphans(tmp_path)) == []
        orphan.delete()

    assert list(orphans(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_stored_segments_are_dropped(tmp_path: Path) -> None:
    """A segment that is in the database goes; the current one stays."""
    journal = Journal(tmp_path)
    journal.append(b"stored\n")
    journal.drop(journal.rotate())
    journal.append(b"not yet\n")
    _abandon(journal)

    (orphan,) = orphans(tmp_path)

    assert list(orphan.lines()) == [b"not yet\n"]


@pytest.mark.parametrize("delete", [pytest.param(True, id="stored"), pytest.param(False, id="not stored")])
def test_closing_leaves_what_is_not_stored(tmp_path: Path, delete: bool) -> None:
    """A journal that is all in the database leaves no file; another one is found by the next start."""
    journal = Journal(tmp_path)
    journal.append(b"line\n")
    journal.close(delete=delete)

    assert [list(orphan.lines()) for orphan in orphans(tmp_path)] == ([] if delete else [[b"line\n"]])
