"""Which file system a folder lies on, from the kernel's mount table: asking touches no disk, so it never hangs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

TABLE = Path("/proc/self/mountinfo")
"""Format: proc_pid_mountinfo(5). As this process sees it: bind mounts and those of its own namespace included."""
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "9p", "afs"}
    | {"panfs", "pvfs2", "orangefs", "wekafs", "coda"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs"}
    | {"fuse.rclone", "fuse.mountpoint-s3", "fuse.blobfuse2", "fuse.goofys", "fuse.dfuse", "fuse.mfs", "fuse.quobyte"}
)
"""File systems whose files other machines write, and where a database's locks cannot be trusted."""
SHARED = frozenset({"virtiofs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs", "ocfs2", "gfs2", "autofs"})
"""More of them on which another machine, or the host of this one, may write without an event here."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system's type, such as `nfs4`, and where it is mounted."""

    kind: str
    point: PurePath

    @property
    def is_remote(self) -> bool:
        """Whether others may write there without this machine's kernel knowing."""
        return self.kind in NETWORK_FILE_SYSTEMS | SHARED

    def __str__(self) -> str:
        """Give `nfs4 at /mnt/lustre`."""
        return f"{self.kind} at {self.point}" if self.kind else "an unknown file system"


class Mounts:
    """The mount table as it was when it was last read."""

    def __init__(self, table: Path = TABLE) -> None:
        self._table = table
        self._text: bytes | None = None
        self._points: dict[str, str] = {}
        self._known: dict[PurePath, Mount] = {}

    def refresh(self) -> None:
        """Read the table again: something may have been mounted."""
        try:
            text = self._table.read_bytes()
        except OSError:  # no /proc here: nothing is known
            text = b""
        if text != self._text:
            lines = os.fsdecode(text).splitlines()
            self._text, self._points, self._known = text, dict(filter(None, map(_parse, lines))), {}

    def of(self, folder: PurePath) -> Mount:
        """Give the mount that holds a folder: the last one at the longest mount point above it."""
        if self._text is None:
            self.refresh()
        if folder not in self._known:
            self._known[folder] = self._find(folder)
        return self._known[folder]

    def _find(self, folder: PurePath) -> Mount:
        for place in (folder, *folder.parents):
            if (kind := self._points.get(str(place))) is not None:
                return Mount(kind, place)
        return Mount("", PurePath("/"))


def _parse(line: str) -> tuple[str, str] | None:
    """Give mount point and type of a line; of several mounts at one point, the last hides the others."""
    before, _, after = line.partition(" - ")
    fields, kind = before.split(" "), after.split(" ")[0]
    if len(fields) < 5 or not kind:
        return None
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]), kind
