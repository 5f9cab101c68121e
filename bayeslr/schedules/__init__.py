"""Learning-rate schedules: builders, specs, and readers of other libraries' schedules."""

from bayeslr.schedules.schedule import Schedule

__all__ = ["Schedule"]
