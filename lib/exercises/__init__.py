"""Exercises: a reader's own answer against the reference. Start at `lib.exercises.checking`."""

from lib.exercises.checking import Exercise, Mistake, Report

__all__ = ["Exercise", "Mistake", "Report"]
