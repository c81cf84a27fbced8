"""What is gone, or has a name that cannot be written down, is nobody's and no surprise."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from watcher.discover.disk import listed, modified

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..")
)


@given(st.sets(NAMES, max_size=6))
@example({b"\xff.png", "\u00e4.png".encode(), b"a.png"})
def test_names_are_those_that_are_utf_8_in_order(names: set[bytes]) -> None:
    with TemporaryDirectory() as folder:
        for name in names:
            os.close(os.open(os.path.join(os.fsencode(folder), name), os.O_CREAT))  # noqa: PTH118 - bytes
        found = listed(Path(folder))
    assert found == sorted(name.decode() for name in names if name.decode(errors="replace").encode() == name)


def test_what_is_gone_has_no_names_and_no_time(tmp_path: Path) -> None:
    assert listed(tmp_path / "gone") == []
    assert modified(tmp_path / "gone") is None
    (tmp_path / "here").touch()
    os.utime(tmp_path / "here", (5, 7))
    assert modified(tmp_path / "here") == 7.0
    assert listed(tmp_path / "here") == []
