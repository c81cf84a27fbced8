"""What the watcher costs, measured: `make bench` runs all of it, `python -m benchmarks.NAME` one."""
