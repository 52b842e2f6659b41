"""Adapters' files in the memory of a replica."""

from pathlib import Path

import pytest

from service.fleet.memory_files import MemoryFiles


def test_a_file_is_read_as_it_was_sent_and_lies_on_no_disk():
    files = MemoryFiles(budget_bytes=100)
    files.keep("flat", b"numbers", adapter_sha256="style")
    with files.use("flat") as path, files.use("flat") as again:
        assert path.read_bytes() == again.read_bytes() == b"numbers"
        assert str(path.readlink()).startswith("/memfd:")
    assert files.adapters == {"style"}


def test_what_was_used_longest_ago_makes_room_but_never_what_is_being_read():
    files = MemoryFiles(budget_bytes=20)
    files.keep("first", b"1" * 9, adapter_sha256="a")
    files.keep("second", b"2" * 9, adapter_sha256="b")
    with files.use("first") as path:
        files.keep("third", b"3" * 9, adapter_sha256="c")
        assert files.adapters == {"a", "c"}
        assert path.read_bytes() == b"1" * 9
        files.keep("fourth", b"4" * 90, adapter_sha256="d")
        assert files.adapters == {"a", "d"}
    assert files.adapters == {"d"}


def test_a_forgotten_file_is_empty_also_for_who_reads_it():
    files = MemoryFiles(budget_bytes=100)
    files.keep("own", b"numbers", adapter_sha256="style")
    files.keep("flat", b"numbers", adapter_sha256="style")
    files.keep("other", b"others", adapter_sha256="other style")
    with files.use("own") as path:
        files.forget("style")
        assert path.read_bytes() == b""
        files.keep("own", b"new", adapter_sha256="style")
        with files.use("own") as fresh:
            assert fresh.read_bytes() == b"new"
    assert files.adapters == {"style", "other style"}


def test_what_comes_of_a_forgotten_adapter_comes_too_late():
    files = MemoryFiles(budget_bytes=100)
    times = files.times_forgotten("style")
    files.forget("style")

    assert not files.keep("own", b"numbers", adapter_sha256="style", times_forgotten=times)

    assert files.adapters == frozenset()
    # What is brought from now on is another matter: it was asked for anew.
    assert files.keep("own", b"numbers", adapter_sha256="style", times_forgotten=files.times_forgotten("style"))


def test_no_handle_stays_open_when_files_go():
    before = num_handles()
    files = MemoryFiles(budget_bytes=10)
    files.keep("last", b"12345678", adapter_sha256="last")
    files.forget("last")
    for number in range(50):
        files.keep(str(number), b"12345678", adapter_sha256=str(number))
        files.keep(str(number), b"12345678", adapter_sha256=str(number))
        with files.use(str(number)):
            if number % 2:
                files.forget(str(number))
    files.forget("48")
    assert num_handles() == before


def test_what_is_not_here_cannot_be_used():
    with pytest.raises(KeyError), MemoryFiles(budget_bytes=1).use("nothing"):
        pass


def num_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
