"""The first hour: what is there to be watched, written down as a configuration, and the daemon made a service."""
