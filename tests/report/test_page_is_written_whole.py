"""A page is written in one step, and never over something that is not a page."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import page_samples as samples
import pytest
from recorded_runs import solve

from truncflow_cli.errors import UserError
from truncflow_cli.report.page import write_page


@pytest.fixture(scope="module")
def run():
    return solve(samples.POINT, "point")


def test_the_file_is_returned_and_its_folder_is_made(run, tmp_path):
    written = write_page(run, tmp_path / "new" / "folder" / "page.html")
    assert written == tmp_path / "new" / "folder" / "page.html"
    assert written.read_bytes().startswith(b"<!doctype html>")
    assert sorted(written.parent.iterdir()) == [written]
    assert stat.S_IMODE(written.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_page_is_replaced_and_a_link_is_followed(run, tmp_path):
    real, link = tmp_path / "real.html", tmp_path / "link.html"
    real.write_text("<!DOCTYPE html>old")
    link.symlink_to(real)
    assert write_page(run, link) == real
    assert link.is_symlink() and "old" not in real.read_text(encoding="utf-8")[:20]


@pytest.mark.parametrize("there", [b"flow: separated\n", b"\x89HDF\r\n\x1a\n", b"<!"])
def test_what_is_not_a_page_stays(run, tmp_path, there):
    path = tmp_path / "mine"
    path.write_bytes(there)
    with pytest.raises(UserError, match="exists and is not a page of a run; choose another name"):
        write_page(run, path)
    assert path.read_bytes() == there


def test_an_empty_file_may_be_filled(run, tmp_path):
    path = tmp_path / "empty.html"
    path.touch()
    assert write_page(run, path).stat().st_size > 1000


def test_a_folder_is_not_replaced(run, tmp_path):
    with pytest.raises(UserError, match="is not a regular file"):
        write_page(run, tmp_path)


def test_where_nothing_can_be_written_one_sentence_says_so(run, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(UserError, match=r"^cannot write .*page\.html: "):
        write_page(run, blocked / "page.html")


def test_a_write_that_fails_leaves_the_old_page_and_nothing_else(run, tmp_path, monkeypatch):
    path = write_page(run, tmp_path / "page.html")
    before = path.read_bytes()

    def fail(self: Path, text: str, **how: object) -> int:
        self.write_bytes(text.encode()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(UserError, match="no space left on device"):
        write_page(run, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
