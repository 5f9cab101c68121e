"""Where the time of one gradient goes, on one core: ``uv run python tests/benchmarks/profile_gradient.py [RUNS]``.

RUNS is ``three_runs`` (default), ``nine_runs``, ``eighteen_runs`` or ``three_hundred_runs``. First the parts, in turn
in one process, so that a busy minute does not hit one of them; then the kernels by the function of the library that
they come from, as XLA's own profiler times them, which makes each take about a microsecond longer.
"""

import collections
import dataclasses
import re
import sys
import tempfile
import time
from pathlib import Path

import benchmark_cases
import benchmark_jobs
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from bayeslr.curves import Sizes
from bayeslr.inference.engine.density import build_density, starting_points
from bayeslr.inference.engine.devices import OFTEN, compiler_options, unshared_solves
from bayeslr.inference.fit import default_points
from bayeslr.model import ScalingModel, likelihood

ROUNDS, EVALUATIONS = 20, 200
ROOMS = ("bayeslr/model/", "bayeslr/laws/", "bayeslr/inference/")


def parts(model, observations):
    """Values with gradients, and where they are taken: the whole density, and less and less of it."""
    density = build_density(model, observations)
    start = density.unconstrain(starting_points(model, observations)[1], observations)
    values = density.constrain(start, observations, jnp.zeros(density.drawn))
    sites, of_sites = ravel_pytree({name: jnp.asarray(values[name]) for name in model.sites})
    structure = model.structure(observations, of_sites(sites))
    names = ("mean", "sd", "autocorrelation", "run_scale", "shared_scale", "response")
    arrays, of_arrays = ravel_pytree({name: getattr(structure, name) for name in names})
    rows, of_rows = ravel_pytree((likelihood._Rows.of(structure, observations.loss),))

    def given_structure(x, observations):
        return likelihood.log_density(dataclasses.replace(structure, **of_arrays(x)), observations.loss)

    def given_whitened(x, observations):
        shapes, levels = (likelihood._Shapes.of(structure),), likelihood._levels(structure)
        return likelihood._integrated(of_rows(x), shapes, observations.groups, levels)

    return {
        "all": (density.value_and_gradient, start),
        "without priors and coordinates": (
            jax.value_and_grad(
                lambda x, observations: likelihood.log_density(
                    model.structure(observations, of_sites(x)), observations.loss
                )
            ),
            sites,
        ),
        "given mean, residual and response": (jax.value_and_grad(given_structure), arrays),
        "given whitened losses": (jax.value_and_grad(given_whitened), rows),
    }


def table(text, name):
    """One of the numbered tables at the head of a compiled program's text."""
    lines = text.split(f"\n{name}\n", 1)[1].split("\n\n", 1)[0].splitlines()
    return {int(number): rest for number, rest in (line.split(" ", 1) for line in lines)}


def origins(text):
    """The function of the library that each instruction comes from."""
    files, functions = table(text, "FileNames"), table(text, "FunctionNames")
    places, frames = table(text, "FileLocations"), table(text, "StackFrames")

    def numbers(entry):
        return {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", entry)}

    def origin(frame):
        while frame:
            entry = numbers(frames[frame])
            place = numbers(places[entry["file_location_id"]])
            file = files[place["file_name_id"]].strip('"')
            if any(room in file for room in ROOMS):
                function = functions[place["function_name_id"]].strip('"').rsplit(".", 1)[-1]
                return f"{file.rsplit('/', 1)[-1]}: {function}"
            above = entry.get("parent_frame_id", 0)
            frame = above if above != frame else 0
        return "elsewhere"

    pattern = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = .*?(?:stack_frame_id=(\d+)|$)", re.MULTILINE)
    found = {}
    for name, frame in pattern.findall(text):
        found.setdefault(name, origin(int(frame or 0)))
    return found


def kernels(program, start, observations):
    """Microseconds a gradient by function of the library, and how many kernels come from it."""
    found = origins(program.as_text())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            program(start, observations).block_until_ready()
        profile = jax.profiler.ProfileData.from_file(str(next(Path(folder).rglob("*.xplane.pb"))))
    spent, names = collections.Counter(), collections.defaultdict(set)
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events:
                if event.name in found and not event.name.startswith("while"):
                    spent[found[event.name]] += event.duration_ns / 1e3 / EVALUATIONS
                    names[found[event.name]].add(event.name)
    return [(function, len(names[function]), time_us) for function, time_us in spent.most_common()]


def compile_parts(case):
    """Compile a loop of gradients of each part; also returns the observations that they are called with."""
    curves = getattr(benchmark_cases, case)()[0].after_warmup()
    curves = curves.thin(default_points([len(curve) for curve in curves]))
    model = ScalingModel().resolved(Sizes.of(curves).params)
    observations, _ = model.observations(curves, model.scale(curves))
    # at the level of optimisation that the sampler is compiled with
    settings = {"evaluations": EVALUATIONS, "compiler_options": compiler_options(OFTEN)}
    programs = {
        name: (benchmark_jobs.compiled_loop(function, start, observations, **settings), start)
        for name, (function, start) in parts(model, observations).items()
    }
    return programs, observations


def measure(programs, observations):
    """Name, least microseconds and number of kernels of each part."""
    times = {name: [] for name in programs}
    with unshared_solves():
        for _ in range(ROUNDS):
            for name, (program, start) in programs.items():
                begun = time.perf_counter()
                program(start, observations).block_until_ready()
                times[name].append((time.perf_counter() - begun) / EVALUATIONS * 1e6)
    texts = {name: program.as_text() for name, (program, _) in programs.items()}
    return [
        (name, min(times[name]), sum(text.count(kind) for kind in (" fusion(", " dot(", " custom-call(")))
        for name, text in texts.items()
    ]


def main():
    """Print both tables."""
    benchmark_jobs.keep_to_one_core()
    programs, observations = compile_parts(sys.argv[1] if len(sys.argv) > 1 else "three_runs")
    print(f"{'part of a gradient':36}{'least us':>10}{'kernels':>10}")
    for name, time_us, count in measure(programs, observations):
        print(f"{name:36}{time_us:10.0f}{count:10d}")
    print(f"\n{'function':36}{'us':>10}{'kernels':>10}")
    with unshared_solves():
        for function, count, time_us in kernels(*programs["all"], observations):
            print(f"{function:36}{time_us:10.1f}{count:10d}")


if __name__ == "__main__":
    main()
