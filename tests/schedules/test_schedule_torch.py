"""from_torch, on stand-ins that step and keep their state as PyTorch's schedulers do.

The stand-ins follow the recursion of ``torch.optim.lr_scheduler`` 2.x: a scheduler takes its first step when it is
made, computes each rate from the one in the optimiser, and shows its own dictionary, not a copy, as its state.
"""

import math
import types
import warnings

import numpy as np
import pytest

from bayeslr.errors import ScheduleError
from bayeslr.schedules import cosine, from_torch


class Tensor:
    """A rate in a tensor, changed in place."""

    def __init__(self, value):
        self.value = value

    def __float__(self):
        return float(self.value)

    def __mul__(self, other):
        return Tensor(self.value * float(other))

    def fill_(self, value):
        self.value = float(value)

    def copy_(self, other):
        self.value = other.value


class Optimizer:
    def __init__(self, *lrs):
        self.param_groups = [{"params": [object()], "lr": lr, "betas": (0.9, 0.999)} for lr in lrs]
        self.steps = 0

    def step(self):
        self.steps += 1


class LRScheduler:
    def __init__(self, optimizer):
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = -1
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def state_dict(self):
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict):
        self.__dict__.update(state_dict)

    def step(self):
        if self._step_count == 1 and self.optimizer.steps == 0:
            warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. ...", stacklevel=2)
        self._step_count += 1
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]


class StepLR(LRScheduler):
    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def get_lr(self):
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return [group["lr"] for group in self.optimizer.param_groups]
        return [group["lr"] * self.gamma for group in self.optimizer.param_groups]


class CosineAnnealingLR(LRScheduler):
    def __init__(self, optimizer, T_max, eta_min=0.0):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def get_lr(self):
        groups = self.optimizer.param_groups
        if self._is_initial:
            return [group["lr"] for group in groups]
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            return [
                group["lr"] + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
                for base, group in zip(self.base_lrs, groups, strict=True)
            ]
        ratio = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (group["lr"] - self.eta_min) + self.eta_min for group in groups]


class LambdaLR(LRScheduler):
    def __init__(self, optimizer, lr_lambda):
        self.lr_lambdas = [lr_lambda] * len(optimizer.param_groups)
        super().__init__(optimizer)

    def state_dict(self):
        state = {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "lr_lambdas")}
        state["lr_lambdas"] = [
            None if isinstance(fn, types.FunctionType) else fn.__dict__.copy() for fn in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict):
        lr_lambdas = state_dict.pop("lr_lambdas")
        self.__dict__.update(state_dict)
        state_dict["lr_lambdas"] = lr_lambdas
        for fn, state in zip(self.lr_lambdas, lr_lambdas, strict=True):
            if state is not None:
                fn.__dict__.update(state)

    def get_lr(self):
        return [base * fn(self.last_epoch) for fn, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MomentumCycle(LambdaLR):
    """A scheduler that cycles the momentum too, as OneCycleLR does, and keeps a list in its state."""

    def __init__(self, optimizer):
        self.history = []
        super().__init__(optimizer, lambda step: 1 / (step + 1))

    def get_lr(self):
        self.history.append(self.last_epoch)
        for group in self.optimizer.param_groups:
            group["betas"] = (0.9 - 0.01 * self.last_epoch, 0.999)
            group["seen"] = self.last_epoch
        return super().get_lr()


class Remembering:
    """A lambda with a state of its own."""

    def __init__(self):
        self.seen = [0]

    def __call__(self, step):
        self.seen.append(step)
        return 1.0 / len(self.seen)


def test_step_lr():
    schedule = from_torch(StepLR(Optimizer(0.8), step_size=3, gamma=0.5), 10)
    np.testing.assert_allclose(schedule.lr, [0.8 * 0.5 ** (i // 3) for i in range(10)], rtol=1e-12)
    assert schedule.warmup_steps == 0


def test_cosine_annealing_lr_equals_the_builder():
    schedule = from_torch(CosineAnnealingLR(Optimizer(3e-4), T_max=200, eta_min=3e-5), 200)
    np.testing.assert_allclose(schedule.lr, cosine(peak_lr=3e-4, final_lr=3e-5, total_steps=200).lr, rtol=1e-9)


def test_cosine_annealing_lr_rises_again_after_its_end():
    lr = from_torch(CosineAnnealingLR(Optimizer(1.0), T_max=10), 31).lr
    np.testing.assert_allclose(lr, [(1 + math.cos(math.pi * i / 10)) / 2 for i in range(31)], atol=1e-12)


def test_lambda_lr_with_warmup():
    schedule = from_torch(LambdaLR(Optimizer(2e-3), lambda i: min(i / 5, 1.0)), 12)
    np.testing.assert_allclose(schedule.lr, [2e-3 * min(i / 5, 1.0) for i in range(12)], rtol=1e-12)
    assert schedule.warmup_steps == 5


def test_group_is_chosen():
    scheduler = StepLR(Optimizer(1.0, 10.0), step_size=2, gamma=0.5)
    np.testing.assert_allclose(from_torch(scheduler, 4, group=1).lr, [10, 10, 5, 5])
    with pytest.raises(ScheduleError, match="group is 2; allowed: a whole number from 0 to 1"):
        from_torch(scheduler, 4, group=2)


def test_rate_in_a_tensor_is_restored_in_place():
    optimizer = Optimizer(Tensor(1.0))
    held = optimizer.param_groups[0]["lr"]
    np.testing.assert_allclose(from_torch(StepLR(optimizer, step_size=1, gamma=0.5), 4).lr, [1, 0.5, 0.25, 0.125])
    assert optimizer.param_groups[0]["lr"] is held
    assert held.value == 1.0


MAKERS = {
    "StepLR": lambda optimizer: StepLR(optimizer, 2, 0.5),
    "CosineAnnealingLR": lambda optimizer: CosineAnnealingLR(optimizer, 20, 0.01),
    "LambdaLR": lambda optimizer: LambdaLR(optimizer, lambda i: 1 / (1 + i)),
    "LambdaLR with state": lambda optimizer: LambdaLR(optimizer, Remembering()),
    "MomentumCycle": MomentumCycle,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("steps_before", [0, 5])
def test_everything_is_restored(name, steps_before):
    """A scheduler that was recorded goes on exactly as its twin that was not."""
    optimizers = Optimizer(0.3, 0.1), Optimizer(0.3, 0.1)
    recorded, twin = (MAKERS[name](optimizer) for optimizer in optimizers)
    for optimizer, scheduler in zip(optimizers, (recorded, twin), strict=True):
        optimizer.step()
        for _ in range(steps_before):
            scheduler.step()
    from_torch(recorded, 15)
    for _ in range(8):
        for mine, its in zip(optimizers[0].param_groups, optimizers[1].param_groups, strict=True):
            assert {**mine, "params": 0} == {**its, "params": 0}
        ours, theirs = ({**scheduler.state_dict()} for scheduler in (recorded, twin))
        assert ours == theirs
        recorded.step()
        twin.step()
    assert optimizers[0].steps == 1


class UnexpectedError(Exception):
    """An error that no reader expects."""


@pytest.mark.parametrize(
    ("error", "raised"), [(ValueError, ScheduleError), (UnexpectedError, UnexpectedError), (KeyboardInterrupt,) * 2]
)
def test_everything_is_restored_after_an_error(error, raised):
    def fails(step):
        if step == 7:
            raise error("Tried to step 8 times")
        return 1.0 / (step + 1)

    optimizer = Optimizer(0.3)
    scheduler = LambdaLR(optimizer, fails)
    group, state = dict(optimizer.param_groups[0]), dict(scheduler.state_dict())
    with pytest.raises(raised, match="Tried to step 8 times"):
        from_torch(scheduler, 20)
    assert optimizer.param_groups[0] == group
    assert scheduler.state_dict() == state
    assert from_torch(scheduler, 7).total_steps == 7


class ReduceLROnPlateau(LRScheduler):
    def step(self, metrics=None):
        if self._is_initial:
            return
        raise TypeError("step() missing 1 required positional argument: 'metrics'")


@pytest.mark.parametrize(
    ("scheduler", "total_steps", "reason"),
    [
        (ReduceLROnPlateau(Optimizer(1.0)), 5, "step 1 failed .*metrics"),
        (lambda step: 1.0, 5, "it has no 'optimizer'; allowed: a torch"),
        (StepLR(Optimizer(1.0), 2), 0, "total_steps is 0"),
        (StepLR(Optimizer(-1.0), 2), 3, "rate of update 0 is -1.0"),
    ],
)
def test_bad_schedulers_are_one_line_errors(scheduler, total_steps, reason):
    with pytest.raises(ScheduleError, match=reason) as caught:
        from_torch(scheduler, total_steps)
    assert "\n" not in str(caught.value)
