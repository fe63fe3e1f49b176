"""The journal of one process."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.storage.journal import Journal, orphans


def _abandon(journal: Journal) -> None:
    """Lose the journal's locks as a killed process does."""
    journal._map.close()
    os.close(journal._lock)


def test_lines_survive_their_process(tmp_path: Path) -> None:
    """What was appended is read back in order, over several segments; a line longer than those has its own."""
    lines = [b"one\n", b"two\n", b"three, which is long\n", b"four\n"]
    journal = Journal(tmp_path, segment_bytes=8)
    for line in lines:
        journal.append(line)
    _abandon(journal)

    (orphan,) = orphans(tmp_path)

    assert orphan.name == journal.name
    assert list(orphan.lines()) == lines


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
    journal = Journal(tmp_path, segment_bytes=8)
    journal.append(b"stored\n")
    journal.append(b"not yet\n")
    journal.drop(journal.full)
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


@contextlib.contextmanager
def _files_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_is_an_error_before_a_line_is_taken(tmp_path: Path) -> None:
    """A line that finds no room raises, leaves no half of itself, and the next one tries again."""
    journal = Journal(tmp_path, segment_bytes=8)
    journal.append(b"one\n")
    with _files_at_most(4), pytest.raises(OSError, match="too large"):
        journal.append(b"two, lost\n")
    journal.append(b"three\n")
    _abandon(journal)

    (orphan,) = orphans(tmp_path)

    assert list(orphan.lines()) == [b"one\n", b"three\n"]


def test_a_line_cut_by_a_kill_is_told_from_whole_ones(tmp_path: Path) -> None:
    """A process killed while it copies a line leaves part of it, which reads as a line that is not JSON."""
    journal = Journal(tmp_path)
    journal.append(b"[1]\n")
    journal._map[4:7] = b"[2,"
    _abandon(journal)

    (orphan,) = orphans(tmp_path)

    assert list(orphan.lines()) == [b"[1]\n", b"[2,"]
