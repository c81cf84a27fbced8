"""Which file system a folder lies on is read from the mount table alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from watcher.mounts import NETWORK_FILE_SYSTEMS, Mounts

TABLE = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw - autofs auto.home rw,fd=6
31 30 0:41 /export/alice /home/alice rw,nosuid shared:7 master:2 - nfs4 files:/export/alice rw,vers=4.2
32 22 0:42 / /mnt/my\040lustre rw - lustre 10.0.0.1@tcp:/scratch rw
33 32 254:0 /local /mnt/my\040lustre/local rw - ext4 /dev/vda rw
34 22 0:43 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/a
35 22 0:44 / /data rw - ext4 /dev/vdb rw
36 35 0:45 / /data rw - nfs files:/data rw
37 22 0:46 / /sshfs rw - fuse.sshfs bob@host: rw
38 22 0:47 / /datasets rw - ext4 /dev/vdc rw
broken line
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "mountinfo").write_text(TABLE)
    return tmp_path / "mountinfo"


@pytest.mark.parametrize(
    ("folder", "shown", "remote"),
    [
        ("/", "ext4 at /", False),
        ("/home/bob/out", "autofs at /home", True),  # not mounted yet: nothing is known, so nothing is trusted
        ("/home/alice", "nfs4 at /home/alice", True),
        ("/home/alice/out/run", "nfs4 at /home/alice", True),
        ("/home/alicette/out", "autofs at /home", True),
        ("/mnt/my lustre/run", "lustre at /mnt/my lustre", True),
        ("/mnt/my lustre/local/run", "ext4 at /mnt/my lustre/local", False),  # a bind mount of a local folder
        ("/var/lib/docker/overlay2/x/merged/out", "overlay at /var/lib/docker/overlay2/x/merged", False),
        ("/data/run", "nfs at /data", True),  # mounted over another
        ("/datasets/run", "ext4 at /datasets", False),
        ("/sshfs", "fuse.sshfs at /sshfs", True),
    ],
)
def test_the_mount_is_that_of_the_longest_mount_point(table: Path, folder: str, shown: str, remote: bool) -> None:
    mount = Mounts(table).of(Path(folder))
    assert (str(mount), mount.is_remote) == (shown, remote)


def test_what_is_mounted_later_is_seen(table: Path) -> None:
    mounts = Mounts(table)
    assert mounts.of(Path("/scratch/run")).kind == "ext4"
    table.write_text(TABLE + "40 22 0:50 / /scratch rw - beegfs beegfs_nodev rw\n")
    mounts.refresh()
    assert mounts.of(Path("/scratch/run")).kind == "beegfs"


def test_without_a_table_nothing_is_known_and_file_events_are_used(tmp_path: Path) -> None:
    mount = Mounts(tmp_path / "none").of(tmp_path)
    assert (str(mount), mount.is_remote) == ("an unknown file system", False)


def test_the_systems_own_table_says_what_others_read_there(tmp_path: Path) -> None:
    points = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    mount = Mounts().of(tmp_path.resolve())
    assert points[str(mount.point)] == mount.kind
    assert mount.kind not in NETWORK_FILE_SYSTEMS


def test_a_real_mount_of_this_process_alone_is_seen(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    program = (
        "from watcher.mounts import Mounts; from pathlib import Path; import sys, subprocess; m = Mounts(); "
        "before = m.of(Path(sys.argv[1])).point; "
        "subprocess.run(['mount', '-t', 'tmpfs', 'none', sys.argv[1]], check=True); "
        "m.refresh(); print(before == m.of(Path(sys.argv[1])).point, m.of(Path(sys.argv[1])))"
    )
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", program]
    done = subprocess.run([*words, str(tmp_path / "m")], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr}")
    assert done.stdout == f"False tmpfs at {tmp_path / 'm'}\n", done.stderr
