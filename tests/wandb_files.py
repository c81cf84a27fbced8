"""What W&B wrote, read back without W&B's own reader: the log's blocks, their checksums, and the records in them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768


def records(file: Path) -> list[Any]:
    """Give all records of a file, which has to be whole to its last byte."""
    data = file.read_bytes()
    assert data[:7] == b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    return [Record.FromString(body) for body in _bodies(data)]


def _bodies(data: bytes) -> Iterator[bytes]:
    body = b""
    at = 7
    while at < len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        crc, length, kind = struct.unpack_from("<IHB", data, at)
        part = data[at + 7 : at + 7 + length]
        assert len(part) == length
        assert crc == zlib.crc32(bytes([kind]) + part), f"the chunk at {at} is torn"
        body = part if kind in (1, 2) else body + part
        if kind in (1, 4):
            yield body
        at += 7 + length


class Session:
    """One offline session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (file,) = folder.glob("*.wandb")
        self._records = records(file)

    def run(self) -> Any:
        """Give the record of the run itself."""
        (found,) = [record.run for record in self._records if record.WhichOneof("record_type") == "run"]
        return found

    def config(self) -> dict[str, Any]:
        """Give the configuration, without what W&B adds to it."""
        pairs = {item.key: json.loads(item.value_json) for item in self.run().config.update}
        return {key: value for key, value in pairs.items() if key != "_wandb"}

    def rows(self) -> list[dict[str, Any]]:
        """Give the history's rows in their order; nested names are joined with a dot, W&B's own are left out."""
        return [_items(r.history.item) for r in self._records if r.WhichOneof("record_type") == "history"]

    def axes(self) -> dict[str, str]:
        """Give the step metric of every metric that has one."""
        found = [record.metric for record in self._records if record.WhichOneof("record_type") == "metric"]
        return {metric.name or metric.glob_name: metric.step_metric for metric in found if metric.step_metric}

    def summary(self) -> dict[str, Any]:
        """Give what stands for the run as a whole in the end."""
        updates = [r.summary.update for r in self._records if r.WhichOneof("record_type") == "summary"]
        return {key: value for update in updates for key, value in _items(update).items()}

    def ended(self) -> bool:
        """Tell whether it was ended in order."""
        return self._records[-1].WhichOneof("record_type") == "exit" and self._records[-1].exit.exit_code == 0


def _items(items: Sequence[Any]) -> dict[str, Any]:
    pairs = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
    return {name: value for name, value in pairs.items() if not name.startswith("_")}


def sessions(place: str | Path) -> list[Session]:
    """Give a place's sessions as `wandb sync` orders them: by the time of their start."""
    found = [Session(folder) for folder in Path(place).glob("offline-run-*")]
    return sorted(found, key=lambda one: one.run().start_time.ToNanoseconds())


def rows(place: str | Path) -> list[dict[str, Any]]:
    """Give the rows of all sessions."""
    return [row for session in sessions(place) for row in session.rows()]


def curve(place: str | Path, name: str = "clip/mean") -> list[tuple[int, float]]:
    """Give step and value of a metric, in the order in which they were written."""
    return [(row["step"], round(row[name], 4)) for row in rows(place) if name in row]
