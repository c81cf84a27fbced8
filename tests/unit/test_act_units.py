"""Which processes are a unit's, by what the kernel says of their control groups."""

from __future__ import annotations

from watcher.act.systemd import in_group


def test_control_groups_are_read_in_both_forms() -> None:
    group = "/user.slice/user-1000.slice/user@1000.service/app.slice/flux-train.service"
    assert in_group(f"0::{group}\n", group)
    assert in_group(f"12:pids:/user.slice\n1:name=systemd:{group}/child\n", group)
    assert not in_group(f"0::{group}-other\n", group)
    assert not in_group("0::/\n", "/")
    assert not in_group("0::/\n", "")
