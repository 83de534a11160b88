"""Exercises: a reader's own answer against the reference. Start at `lib.exercises.checking`."""

from lib.exercises.checking import Exercise, Probe, Report
from lib.exercises.progress import progress

__all__ = ["Exercise", "Probe", "Report", "progress"]
