"""Keeping what is true (`store`) and showing it elsewhere (`trackers`)."""
