"""What a person orders: a stop, a checkpoint, a lower rate, a veto; through the daemon's store, else here and now."""

from watcher.byhand.meant import Meant, meant
from watcher.byhand.order import Order, daemon_runs, place, under_way
from watcher.byhand.veto import hold, release, thaw

__all__ = ["Meant", "Order", "daemon_runs", "hold", "meant", "place", "release", "thaw", "under_way"]
