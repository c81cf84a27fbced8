"""A file system that was mounted anew, with another device number, holds the same runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, subprocess, sys
from pathlib import Path
from watcher.discover import RunSettings, find_runs

folder = Path(sys.argv[1])
point = folder / "point"

def mounted(kind, where, *options):
    subprocess.run(["mount", "-t", kind, *options, "none", where], check=True)

def found():
    layers = ",".join(f"{name}dir={folder / name}" for name in ("lower", "upper", "work"))
    mounted("overlay", point, "-o", layers)
    run, = find_runs([RunSettings(path=str(point / "run"), layout="plain")])
    device, inode = os.stat(point / "run").st_dev, os.stat(point / "run").st_ino
    subprocess.run(["umount", point], check=True)
    return run.id, device, inode

first = found()
mounted("tmpfs", folder / "other")  # takes the number that has become free
second = found()
print(first[0] == second[0], first[1] == second[1], first[2] == second[2])
"""


def test_a_remount_keeps_a_run_though_its_device_number_changes(tmp_path: Path) -> None:
    for name in ("lower/run", "upper", "work", "point", "other"):
        (tmp_path / name).mkdir(parents=True)
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    assert done.stdout == "True False True\n", done.stderr
