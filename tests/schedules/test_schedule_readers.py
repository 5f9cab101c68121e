"""Readers: arrays, CSV files, and callables."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bayeslr.errors import ScheduleError
from bayeslr.schedules import cosine, from_array, from_csv, from_optax


def test_from_array():
    assert from_array(np.array([0, 1, 2, 2], dtype=np.float32)).warmup_steps == 2
    assert from_array([1, 1, 1, 1], warmup_steps=3).warmup_steps == 3
    assert from_array(jnp.array([1.0, 0.5])).final_lr == 0.5
    with pytest.raises(ScheduleError, match="1-D"):
        from_array([[1.0]])


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "rates.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_from_csv_interpolates_between_listed_steps(tmp_path):
    schedule = from_csv(write(tmp_path, "step,lr\n0,0\n3,6e-4\n5,6e-4\n9,2e-4\n"))
    np.testing.assert_allclose(schedule.lr, np.array([0, 2, 4, 6, 6, 6, 5, 4, 3, 2]) * 1e-4)
    assert schedule.warmup_steps == 3


def test_from_csv_gives_back_every_rate(tmp_path):
    schedule = cosine(peak_lr=3e-4, final_lr=3e-5, warmup_steps=7, total_steps=60)
    lines = "\n".join(f"{i},{rate!r}" for i, rate in enumerate(schedule.lr.tolist()))
    assert from_csv(write(tmp_path, f"step,lr\n{lines}\n")) == schedule


def test_from_csv_that_counts_from_one(tmp_path):
    np.testing.assert_array_equal(from_csv(write(tmp_path, "step,lr\n1,4\n2,3\n4,1\n")).lr, [4, 3, 2, 1])


@pytest.mark.parametrize(
    "text",
    [
        "step,lr\r\n0,1\r\n1,2\r\n",
        "\ufeffstep,lr\n0,1\n1,2\n",
        "loss, lr ,step\n3.5,1,0\n3.4,2,1\n",
        "step,lr\n\n0,1\n\n1,2\n\n",
        '"step","lr"\n"0.0","1.0"\n1e0,2e0\n',
        "step,lr,\n0,1,\n1,2,\n",
    ],
)
def test_from_csv_of_other_dialects(tmp_path, text):
    np.testing.assert_array_equal(from_csv(write(tmp_path, text)).lr, [1, 2])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: no column 'step'"),
        ("step,lr\n", "no rows"),
        ("step,rate\n0,1\n", r"line 1: no column 'lr' among \['step', 'rate'\]"),
        ("step;lr\n0;1\n", "line 1: no column 'step'"),
        ("step,lr\n128,1\n256,1\n", "line 2: the first step is 128; allowed: 0, or 1"),
        ("step,lr\n-1,1\n0,1\n", "line 2: step is '-1'"),
        ("step,lr\n0,1\n\n2,1\n2,1\n", "line 5: step is 2 after 2"),
        ("step,lr\n0,1\n2.5,1\n", "line 3: step is '2.5'"),
        ("step,lr\n0,1\n,1\n", "line 3: step is ''"),
        ("step,lr\n0,1\n1e99,1\n", "line 3: step is '1e99'"),
        ("step,lr\n0,1\n1,oops\n", "line 3: lr is 'oops'"),
        ("step,lr\n0,1\n1\n", "line 3: lr is None"),
        ("step,lr\n0,1\n1,nan\n", "line 3: lr is 'nan'"),
        ("step,lr\n0,1\n1,inf\n", "line 3: lr is 'inf'"),
        ("step,lr\n0,1\n1,-1e-9\n", "line 3: lr is '-1e-9'"),
        ("step,lr\n0,0\n1,0\n", "all 2 rates are zero"),
    ],
)
def test_bad_csv_is_a_one_line_error(tmp_path, text, reason):
    path = write(tmp_path, text)
    with pytest.raises(ScheduleError, match=reason) as caught:
        from_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_from_csv_of_no_text(tmp_path):
    with pytest.raises(ScheduleError, match="not a text file"):
        from_csv(write(tmp_path, "step,lr\n0,é", encoding="latin-1"))
    with pytest.raises(ScheduleError, match="directory"):
        from_csv(tmp_path)
    with pytest.raises(ScheduleError, match="No such file"):
        from_csv(tmp_path / "none.csv")


class Counted:
    """Count the calls of a function."""

    def __init__(self, fn):
        self.fn, self.calls = fn, 0

    def __call__(self, step):
        self.calls += 1
        return self.fn(step)


def test_from_optax_is_vectorised():
    fn = Counted(optax.warmup_cosine_decay_schedule(0.0, 3e-4, 100, 2000, 3e-5))
    with jax.enable_x64(True):
        schedule = from_optax(fn, 2000)
    expected = cosine(peak_lr=3e-4, final_lr=3e-5, warmup_steps=100, total_steps=2000)
    np.testing.assert_allclose(schedule.lr, expected.lr, rtol=1e-9)
    assert schedule.warmup_steps == 100
    assert fn.calls < 30


def test_from_optax_of_a_constant():
    fn = Counted(optax.constant_schedule(0.5))
    np.testing.assert_array_equal(from_optax(fn, 1000).lr, 0.5)
    assert fn.calls < 30


@pytest.mark.parametrize(
    "fn",
    [
        lambda i: 1.0 if i < 5 else 0.5,  # refuses an array
        lambda i: 1.0 + math.cos(i / 10),  # refuses an array
        lambda i: [1.0, 0.5, 0.25][i // 4],  # refuses an array
        lambda i: 0.5 if np.mean(i) > 5 else 1.0,  # misreads an array as one number
        lambda i: np.asarray(i) / np.max(np.append(i, 1)),  # misreads an array as many
        lambda i: {"lr": 1.0}["lr"] / (int(i) + 1),  # refuses an array
        lambda i: np.ones((3, 3)) if np.ndim(i) else 1.0 / (1 + i),  # answers in another shape
    ],
)
def test_from_optax_calls_one_by_one_where_it_must(fn):
    np.testing.assert_allclose(from_optax(fn, 12).lr, [float(fn(i)) for i in range(12)], rtol=1e-12)


def test_from_optax_of_a_function_that_divides_by_zero_in_the_branch_not_taken():
    fn = lambda i: np.where(np.asarray(i) > 0, 1 / np.sqrt(np.maximum(i, 0)), 1.0)  # noqa: E731
    np.testing.assert_allclose(from_optax(fn, 3).lr, [1, 1, 1 / math.sqrt(2)])


@pytest.mark.parametrize(
    ("fn", "total_steps", "reason"),
    [
        (3e-4, 10, "a float; allowed: a callable"),
        (lambda i: 1.0, 0, "total_steps is 0"),
        (lambda i: "fast", 10, "update 0 failed"),
        (lambda i: None, 10, "update 0 failed"),
        (lambda i: [1.0, 1.0][i], 10, "update 2 failed .IndexError"),
        (lambda i: 1.0 - i, 10, "rate of update 2 is -1.0"),
        (lambda i: float("nan"), 10, "rate of update 0 is nan"),
        (lambda i, state: 1.0, 10, "update 0 failed .TypeError"),
    ],
)
def test_bad_callables_are_one_line_errors(fn, total_steps, reason):
    with pytest.raises(ScheduleError, match=reason) as caught:
        from_optax(fn, total_steps)
    assert "\n" not in str(caught.value)
