"""Train small language models under many learning-rate schedules: how `bayeslr/datasets/tiny_lm` was made.

A byte-level decoder-only transformer (RMSNorm, rotary positions, AdamW) learns the Python source of the standard
library of the interpreter that runs this file; whole packages are held out for validation. What it logs is what bayeslr
wants of a training script: at each validation one row with the step, the learning rate, the training loss and the
validation loss, and a manifest that names the schedule of every run and the run it was branched from.

    python tests/datasets/train_tiny_lm.py train --root runs     all runs; resumes, and skips what is finished
    python tests/datasets/train_tiny_lm.py train --root runs --only 25k --tensorboard
    python tests/datasets/train_tiny_lm.py ship --root runs --to bayeslr/datasets/tiny_lm
"""

import argparse
import contextlib
import csv
import fcntl
import functools
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bayeslr.schedules import parse_schedule

Params = dict[str, Any]

# --- The corpus -------------------------------------------------------------------------------------------------------

# Whole packages, each with its tests, so that nothing of a validation file is ever trained on.
HELD_OUT = ("asyncio", "email", "http", "json", "logging", "sqlite3", "tkinter", "unittest", "zipfile")
# Tables and texts written by programs, third-party code, and what differs between machines.
LEFT_OUT = ("encodings", "pydoc_data", "site-packages", "ensurepip", "__pycache__")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Bytes to train on, and fixed blocks [n, block + 1] to validate on."""

    train: np.ndarray
    validation: np.ndarray
    sha256: str


def package_of(path: Path) -> str:
    """Name the package that a library file belongs to; tests belong to what they test."""
    parts = path.parts[1:] if path.parts[0] == "test" else path.parts
    return parts[0].removesuffix(".py").removeprefix("test_")


def standard_library() -> dict[str, bytes]:
    """Read the Python source of the running interpreter's standard library, in order of path."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    return {
        path.as_posix(): (root / path).read_bytes()
        for path in paths
        if not set(path.parts) & set(LEFT_OUT)
        and not path.name.startswith("_sysconfigdata")
        and "config-" not in str(path)
    }


def make_corpus(files: Mapping[str, bytes], *, block: int, validation_blocks: int) -> Corpus:
    """Split files by package; validation blocks lie evenly spaced in the held-out text."""
    held_out = {name for name in files if package_of(Path(name)) in HELD_OUT}
    train = b"\n".join(text for name, text in files.items() if name not in held_out)
    text = np.frombuffer(b"\n".join(files[name] for name in sorted(held_out)), np.uint8)
    starts = np.linspace(0, text.size - block - 1, validation_blocks).astype(int)
    validation = text[starts[:, None] + np.arange(block + 1)]
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Corpus(train=np.frombuffer(train, np.uint8), validation=validation, sha256=digest.hexdigest())


# --- The model --------------------------------------------------------------------------------------------------------

VOCABULARY = 256


@dataclass(frozen=True, kw_only=True)
class Size:
    """Shape of a model. ``label`` is what the manifest calls it."""

    label: str
    layers: int
    width: int
    heads: int


def init_params(size: Size, seed: int) -> Params:
    """Draw weights with sd 1/sqrt(fan in); what writes to the residual stream is scaled down by sqrt(2 layers)."""
    keys = iter(jax.random.split(jax.random.key(seed), 2 + 4 * size.layers))

    def matrix(fan_in: int, *shape: int, scale: float = 1.0) -> jax.Array:
        return jax.random.normal(next(keys), shape) * (scale / np.sqrt(fan_in))

    d, residual = size.width, 1 / np.sqrt(2 * size.layers)
    return {
        "embed": matrix(1, VOCABULARY, d),
        "layers": [
            {
                "norm_1": jnp.ones(d),
                "qkv": matrix(d, d, 3 * d),
                "out": matrix(d, d, d, scale=residual),
                "norm_2": jnp.ones(d),
                "up": matrix(d, d, 4 * d),
                "down": matrix(4 * d, 4 * d, d, scale=residual),
            }
            for _ in range(size.layers)
        ],
        "norm": jnp.ones(d),
        "head": matrix(d, d, VOCABULARY, scale=0.5),
    }


def count_params(params: Params) -> int:
    """Count the non-embedding parameters: all but the byte table and the output head."""
    return sum(leaf.size for leaf in jax.tree.leaves({**params, "embed": (), "head": ()}))


def rms_norm(x: jax.Array, gain: jax.Array | float = 1.0) -> jax.Array:
    """Scale to root mean square 1 along the last axis."""
    return gain * x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def rotate(x: jax.Array) -> jax.Array:
    """Rotary positions on ``x`` [batch, time, heads, head width]."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * 10_000.0 ** (-np.arange(half) / half)
    cos, sin = (jnp.asarray(f(angle)[None, :, None, :], x.dtype) for f in (np.cos, np.sin))
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def block_losses(params: Params, tokens: jax.Array, *, heads: int) -> jax.Array:
    """Mean next-byte cross-entropy in nats of each block of ``tokens`` [batch, time + 1]; shape [batch]."""
    inputs, targets = tokens[:, :-1].astype(jnp.int32), tokens[:, 1:].astype(jnp.int32)
    x = params["embed"][inputs]
    for layer in params["layers"]:
        qkv = rms_norm(x, layer["norm_1"]) @ layer["qkv"]
        q, k, v = (part.reshape(*x.shape[:2], heads, -1) for part in jnp.split(qkv, 3, axis=-1))
        # Normalised queries and keys keep high learning rates stable.
        attended = jax.nn.dot_product_attention(rotate(rms_norm(q)), rotate(rms_norm(k)), v, is_causal=True)
        x = x + attended.reshape(x.shape) @ layer["out"]
        x = x + jnp.square(jax.nn.relu(rms_norm(x, layer["norm_2"]) @ layer["up"])) @ layer["down"]
    logits = rms_norm(x, params["norm"]) @ params["head"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean(axis=-1)


# --- Training ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all runs share."""

    batch: int = 16
    block: int = 128
    validation_blocks: int = 768
    validate_every: int = 50
    checkpoint_every: int = 400
    b1: float = 0.9
    b2: float = 0.95
    weight_decay: float = 0.1
    clip: float = 1.0


class State(NamedTuple):
    """All that a run needs to go on, besides its step."""

    params: Params
    optimiser: optax.OptState


def make_optimiser(settings: Settings) -> optax.GradientTransformation:
    """AdamW without its rate, which comes from the run's schedule; norms are not decayed."""
    return optax.chain(
        optax.clip_by_global_norm(settings.clip),
        optax.scale_by_adam(b1=settings.b1, b2=settings.b2),
        optax.add_decayed_weights(settings.weight_decay, mask=functools.partial(jax.tree.map, lambda p: p.ndim > 1)),
    )


class Trainer:
    """The compiled functions of one size: many updates in one call, and the validation."""

    def __init__(self, size: Size, settings: Settings, corpus: Corpus):
        self.size, self.settings = size, settings
        self.text = jnp.asarray(corpus.train)
        self.blocks = jnp.asarray(corpus.validation.reshape(-1, 16, settings.block + 1))
        self.optimiser = make_optimiser(settings)
        self._updates = jax.jit(self._scan_updates, donate_argnums=0)
        self._validate = jax.jit(lambda params, blocks: jax.lax.map(functools.partial(self.losses, params), blocks))

    def losses(self, params: Params, tokens: jax.Array) -> jax.Array:
        """Bind the size to :func:`block_losses`."""
        return block_losses(params, tokens, heads=self.size.heads)

    def start(self, seed: int) -> State:
        """Make the state before the first update."""
        params = init_params(self.size, seed)
        return State(params, self.optimiser.init(params))

    def updates(self, state: State, *, seed: int, first: int, rates: np.ndarray) -> tuple[State, float]:
        """Do updates ``first, first + 1, ...`` with the given rates; also return their mean training loss."""
        steps = jnp.arange(first, first + len(rates))
        state, losses = self._updates(state, self.text, jax.random.key(seed), steps, jnp.asarray(rates, jnp.float32))
        return state, float(np.mean(np.asarray(losses, np.float64)))

    def _scan_updates(self, state, text, key, steps, rates):
        def update(state: State, step_and_rate):
            step, rate = step_and_rate
            # The batch depends on the seed and the step alone: a resumed or branched run sees what an unbroken one sees
            limit = text.size - self.settings.block
            starts = jax.random.randint(jax.random.fold_in(key, step), (self.settings.batch, 1), 0, limit)
            tokens = text[starts + jnp.arange(self.settings.block + 1)]
            loss, grads = jax.value_and_grad(lambda p: self.losses(p, tokens).mean())(state.params)
            direction, optimiser = self.optimiser.update(grads, state.optimiser, state.params)
            params = jax.tree.map(lambda p, u: p - rate * u, state.params, direction)
            return State(params, optimiser), loss

        return jax.lax.scan(update, state, (steps, rates))

    def validate(self, state: State) -> np.ndarray:
        """Return the loss of every validation block."""
        return np.asarray(self._validate(state.params, self.blocks), np.float64).ravel()


# --- The runs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of the manifest; ``first`` is the step of the parent's checkpoint that it goes on from."""

    name: str
    size: Size
    spec: str
    seed: int = 0
    parent: str = ""
    first: int = 0
    split: str = "test"

    @property
    def file(self) -> str:
        """The log, relative to the manifest."""
        return f"{self.name}.csv"


def base_runs(size: Size, *, peak_lr: float, horizon: int, split: str = "train") -> list[Run]:
    """Plan one size: constant, cosine and two-stage to train on; WSD decays, branched off the constant run, to test."""
    peak = f"peak_lr={peak_lr!r}, warmup_steps={horizon // 20}"
    end = f"final_lr={round(peak_lr / 10, 9)!r}, total_steps={horizon}"
    constant = f"{size.label}/constant_{horizon}"

    def decay(name: str, shape: str, percent: int) -> Run:
        steps = horizon * percent // 100
        spec = f"wsd({peak}, {end}, decay_steps={steps}, decay='{shape}')"
        return Run(name=f"{size.label}/{name}_{horizon}", size=size, spec=spec, parent=constant, first=horizon - steps)

    half = horizon // 2
    two_stage = f"multistep({peak}, milestones=[{half}], lrs=[{round(0.3 * peak_lr, 9)!r}], total_steps={horizon})"
    return [
        Run(name=constant, size=size, spec=f"constant({peak}, total_steps={horizon})", split=split),
        Run(name=f"{size.label}/cosine_{horizon}", size=size, spec=f"cosine({peak}, {end})", split=split),
        Run(
            name=f"{size.label}/two_stage_{horizon}",
            size=size,
            spec=two_stage,
            parent=constant,
            first=half,
            split=split,
        ),
        decay("wsd20", "linear", 20),
        decay("wsd10", "linear", 10),
        decay("wsd40", "linear", 40),
        decay("wsd20_sqrt", "1-sqrt", 20),
    ]


def further_runs(size: Size, *, peak_lr: float, horizon: int) -> list[Run]:
    """Plan what only small sizes can afford: a re-warm-up, three times the horizon, and two more seeds."""
    warmup = f"warmup_steps={horizon // 20}"
    peak, final = f"peak_lr={peak_lr!r}, {warmup}", f"final_lr={round(peak_lr / 10, 9)!r}"
    cycles = f"cyclic({peak}, re{warmup}, {final}, cycle_steps={horizon // 2}, total_steps={horizon})"
    # The long runs keep the warm-up of the short ones, so that the long constant run goes on from the short one.
    long, decay = 3 * horizon, 3 * horizon // 5
    constant = f"constant({peak}, total_steps={long})"
    wsd = f"wsd({peak}, {final}, decay_steps={decay}, total_steps={long}, decay='linear')"
    seeds = [
        replace(run, name=f"{run.name}_seed{seed}", seed=seed, split="seed")
        for seed in (1, 2)
        for run in base_runs(size, peak_lr=peak_lr, horizon=horizon)[:2]
    ]
    trunk = f"{size.label}/constant"
    return [
        Run(name=f"{size.label}/cyclic_{horizon}", size=size, spec=cycles),
        Run(name=f"{trunk}_{long}", size=size, spec=constant, parent=f"{trunk}_{horizon}", first=horizon),
        Run(name=f"{size.label}/wsd20_{long}", size=size, spec=wsd, parent=f"{trunk}_{long}", first=long - decay),
        Run(name=f"{size.label}/cosine_{long}", size=size, spec=f"cosine({peak}, {final}, total_steps={long})"),
        *seeds,
    ]


SIZES = (
    Size(label="25k", layers=2, width=32, heads=1),
    Size(label="80k", layers=3, width=48, heads=1),
    Size(label="200k", layers=4, width=64, heads=2),
    Size(label="450k", layers=4, width=96, heads=2),
)
PEAK_LR = 0.008
HORIZON = 4000


def all_runs() -> list[Run]:
    """Plan the shipped set; the largest size is left for testing, and parents come before their branches."""
    *fitted, largest = SIZES
    runs = [run for size in fitted for run in base_runs(size, peak_lr=PEAK_LR, horizon=HORIZON)]
    runs += base_runs(largest, peak_lr=PEAK_LR, horizon=HORIZON, split="test")
    return runs + [run for size in SIZES[:2] for run in further_runs(size, peak_lr=PEAK_LR, horizon=HORIZON)]


# --- Files: nothing is ever half-written, so a run that is stopped goes on where its last checkpoint was --------------


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file; floats in the shortest form that reads back to the same bits."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_file(path, text.getvalue().encode())


def read_rows(path: Path) -> list[list[Any]]:
    """Read the rows below the header of a CSV file, as text."""
    with path.open() as file:
        return list(csv.reader(file))[1:]


def checkpoint_path(root: Path, run_name: str, step: int) -> Path:
    """Name the file with the state after ``step`` updates."""
    return root / "checkpoints" / run_name / f"{step}.npz"


def save_state(path: Path, state: State) -> None:
    """Write all arrays of the state, in the order of the tree."""
    content = io.BytesIO()
    np.savez(content, *jax.tree.leaves(state))
    write_file(path, content.getvalue())


def load_state(path: Path, like: State) -> State:
    """Read the arrays of the state; ``like`` has the tree that they belong to."""
    with np.load(path) as arrays:
        return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(arrays[name]) for name in arrays.files])


def is_finished(root: Path, run: Run) -> bool:
    """Tell whether the last checkpoint, which is written after the last row, is there."""
    return checkpoint_path(root, run.name, parse_schedule(run.spec).total_steps).exists()


@contextlib.contextmanager
def scalar_writer(folder: Path, *, on: bool) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Give a function that logs scalars to TensorBoard, or does nothing when not ``on``."""
    if not on:
        yield lambda step, values: None
        return
    from tensorboard.summary import Writer

    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(str(folder))

    def write(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    yield write
    writer.close()


def train_run(run: Run, trainer: Trainer, root: Path, *, keep: Iterable[int] = (), tensorboard: bool = False) -> None:
    """Train one run to its end, from its last checkpoint if it has one, else from its parent's or from the start.

    The checkpoints at the steps in ``keep`` stay, for the runs that branch off there.
    """
    settings, rates, log = trainer.settings, parse_schedule(run.spec).lr, root / run.file
    step, state, rows = run.first, trainer.start(run.seed), []
    checkpoints = [int(path.stem) for path in checkpoint_path(root, run.name, 0).parent.glob("*.npz")]
    if checkpoints:
        step = max(checkpoints)
        state = load_state(checkpoint_path(root, run.name, step), state)
        rows = [row for row in read_rows(log) if int(row[0]) <= step]
    elif run.parent:
        state = load_state(checkpoint_path(root, run.parent, step), state)
        # A branch begins with the row of its parent at the branch point, where its own rates begin.
        parent_rows = {row[0]: row for row in read_rows(root / f"{run.parent}.csv")}
        rows = [[step, float(rates[step]), *parent_rows[str(step)][2:]]]
    with scalar_writer(root / "tensorboard" / run.name, on=tensorboard) as write_scalars:
        while step < len(rates):
            state, train_loss = trainer.updates(
                state, seed=run.seed, first=step, rates=rates[step : step + settings.validate_every]
            )
            step = min(step + settings.validate_every, len(rates))
            # As `schedule(step)` in a training loop: the rate of the next update.
            values = {"lr": float(rates[min(step, len(rates) - 1)]), "train_loss": train_loss}
            values["val_loss"] = float(trainer.validate(state).mean())
            rows.append([step, *values.values()])
            write_table(log, ("step", *values), rows)
            write_scalars(step, values)
            if step % settings.checkpoint_every == 0 or step in keep or step == len(rates):
                save_state(checkpoint_path(root, run.name, step), state)
                for old in checkpoints:
                    if old not in keep and old != step:
                        checkpoint_path(root, run.name, old).unlink(missing_ok=True)
                checkpoints.append(step)


@contextlib.contextmanager
def claim(root: Path, run: Run) -> Iterator[bool]:
    """Tell whether this process may train the run; several that share a folder then share the work."""
    path = root / "checkpoints" / run.name / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def describe(settings: Settings, corpus: Corpus) -> dict[str, Any]:
    """Collect all that the curves depend on."""
    return {
        "settings": asdict(settings),
        "sizes": [asdict(size) for size in SIZES],
        "corpus": {
            "text": f"standard library of Python {platform.python_version()}",
            "sha256": corpus.sha256,
            "train_bytes": corpus.train.size,
            "validation_bytes": corpus.validation[:, 1:].size,
            "held_out": HELD_OUT,
            "left_out": LEFT_OUT,
        },
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "optax")},
        "machine": platform.machine(),
    }


def train(runs: list[Run], root: Path, *, settings: Settings, corpus: Corpus, tensorboard: bool = False) -> None:
    """Train all runs that are neither finished nor being trained by another process, parents before branches."""
    described = json.dumps(describe(settings, corpus), indent=2) + "\n"
    if (root / "settings.json").exists() and (root / "settings.json").read_text() != described:
        raise SystemExit(
            f"{root / 'settings.json'}: the runs there had other settings; allowed: the same, or another --root"
        )
    write_file(root / "settings.json", described.encode())
    trainers: dict[str, Trainer] = {}
    by_name = {run.name: run for run in runs}
    while waiting := [run for run in runs if not is_finished(root, run)]:
        idle = True
        for run in waiting:
            if run.parent and not is_finished(root, by_name[run.parent]):
                continue
            with claim(root, run) as mine:
                if not mine or is_finished(root, run):
                    continue
                idle = False
                if run.size.label not in trainers:
                    trainers = {run.size.label: Trainer(run.size, settings, corpus)}
                begin = time.monotonic()
                keep = {other.first for other in runs if other.parent == run.name}
                train_run(run, trainers[run.size.label], root, keep=keep, tensorboard=tensorboard)
                print(f"{run.name}: finished after {time.monotonic() - begin:.0f} s", flush=True)
                break
        if idle:
            time.sleep(10)


# --- Shipping ---------------------------------------------------------------------------------------------------------


def ship(runs: list[Run], root: Path, to: Path) -> None:
    """Write the manifest, the logs and the settings of all finished runs."""
    finished = [run for run in runs if is_finished(root, run)]
    columns = ("run", "file", "size", "params", "weight_decay", "schedule", "parent", "seed", "split")
    described = (root / "settings.json").read_bytes()
    decay = json.loads(described)["settings"]["weight_decay"]
    rows = []
    for run in finished:
        params = count_params(jax.eval_shape(functools.partial(init_params, run.size, run.seed)))
        rows.append((run.name, run.file, run.size.label, params, decay, run.spec, run.parent, run.seed, run.split))
        write_file(to / run.file, (root / run.file).read_bytes())
    write_file(to / "settings.json", described)
    write_table(to / "runs.csv", columns, rows)
    print(f"{to}: {len(finished)} of {len(runs)} runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=("train", "ship"))
    parser.add_argument("--root", type=Path, required=True, help="folder of the logs and checkpoints")
    parser.add_argument("--only", default="", help="train only the runs whose names begin so")
    parser.add_argument("--to", type=Path, default=Path("bayeslr/datasets/tiny_lm"), help="folder to ship to")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard event files too")
    arguments = parser.parse_args()
    runs = [run for run in all_runs() if run.name.startswith(arguments.only)]
    if arguments.action == "ship":
        ship(runs, arguments.root, arguments.to)
        return
    settings = Settings()
    corpus = make_corpus(standard_library(), block=settings.block, validation_blocks=settings.validation_blocks)
    train(runs, arguments.root, settings=settings, corpus=corpus, tensorboard=arguments.tensorboard)


if __name__ == "__main__":
    main()
