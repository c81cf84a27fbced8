"""`watcher doctor`: what of a setup works, what does not, and what to do about it; nothing is changed."""

from watcher.doctor.checks import CHECKS, examine
from watcher.doctor.finding import Finding
from watcher.doctor.patient import Patient

__all__ = ["CHECKS", "Finding", "Patient", "examine"]
