"""What a person orders: a stop, a veto; through the daemon's store where there is one, else here and now."""

from watcher.byhand.meant import Meant, meant
from watcher.byhand.order import Order, daemon_runs, place, under_way
from watcher.byhand.veto import hold, release

__all__ = ["Meant", "Order", "daemon_runs", "hold", "meant", "place", "release", "under_way"]
