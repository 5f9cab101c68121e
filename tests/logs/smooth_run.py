"""A run for tests of logs: one smooth loss under a warm-up and a cosine."""

import math

STEPS = tuple(range(100, 2001, 100))
EVERY_50 = tuple(range(50, 2001, 50))


def loss_at(step):
    """The validation loss after some updates."""
    return 2.6 + 3.0 * step**-0.2


def rate_at(step, total=2000):
    """A warm-up of 100 updates and a cosine from 1e-3 to 1e-4."""
    if step < 100:
        return 1e-5 * step
    return 1e-4 + 4.5e-4 * (1 + math.cos(math.pi * (step - 100) / (total - 100)))
