"""What is measured, each in a process of its own: run as a script, a job prints its figures as one JSON object.

python tests/benchmarks/benchmark_jobs.py fit '{"case": "three_runs"}'
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAPER = ("L0", "A", "alpha", "C", "decay", "noise")
"""What peers report."""
PEERS = ("by_hand", "by_hand_features", "pymc", "pymc_scaled")
SHARED_CACHE = Path(tempfile.gettempdir()) / "bayeslr-benchmarks"


def launch(name, /, *, timeout_s=3600.0, cache=SHARED_CACHE, **settings):
    """Run a job in a fresh process and return its figures, with the seconds that the process took.

    Parameters
    ----------
    name
        Name of a function of this module.
    timeout_s
        Give up after this time: the result is then none.
    cache
        Folder of the cache of compiled programs; none: an empty one, for what is to be cold.
    settings
        Arguments of the job.
    """
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {"XDG_CACHE_HOME": str(cache or empty), "PYTHONWARNINGS": "ignore"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, str(Path(__file__)), name, json.dumps(settings)]
        begun = time.perf_counter()
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None
        seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{name} {settings}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1]) | {"process_s": seconds}


def _mode(model):
    """Return the default model, that of the peers, or that of a law by its name."""
    from bayeslr.laws import AnnealingLaw
    from bayeslr.model import LAWS, NoDiscrepancy, ScalingModel

    if model in LAWS:
        return ScalingModel(law=LAWS[model]())
    # without a discrepancy it is the model that the peers have: the paper's law and white noise
    return ScalingModel() if model == "default" else ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy())


def _ess(draws, names=None):
    """Return the smallest bulk effective sample size of draws by name, each ``[chains, draws, ...]``."""
    import numpy as np
    import xarray as xr
    from arviz_stats import ess

    data = {k: (["chain", "draw", *(f"{k}{d}" for d in range(v.ndim - 2))], v) for k, v in draws.items()}
    found = ess(xr.Dataset(data)[list(names or draws)], method="bulk")
    # a quantity that cannot move has no effective sample size
    values = np.concatenate([np.atleast_1d(v.values).ravel() for v in found.data_vars.values()])
    return float(np.nanmin(values)) if values.size else float("nan")


def _seconds_in(owner, method, spent):
    """Add up the time that a method of a class takes."""
    original = getattr(owner, method)

    def timed(*arguments, **named):
        begun = time.perf_counter()
        try:
            return original(*arguments, **named)
        finally:
            spent.append(time.perf_counter() - begun)

    setattr(owner, method, timed)


def _loop_gradient(value_and_gradient, z, *arguments, evaluations):
    """Seconds of one gradient as a sampler calls it, the least of twenty loops."""
    from bayeslr.inference.engine.devices import unshared_solves

    once = _loop(value_and_gradient, z, *arguments, evaluations=evaluations)
    with unshared_solves():
        return min(once() for _ in range(20))


def _loop(value_and_gradient, z, *arguments, evaluations):
    """Compile a loop of gradients; the result runs it and returns the seconds of one gradient."""
    import jax
    import jax.numpy as jnp

    compiled = compiled_loop(value_and_gradient, z, *arguments, evaluations=evaluations)

    def once():
        begun = time.perf_counter()
        jax.block_until_ready(compiled(jnp.asarray(z), *arguments))
        return (time.perf_counter() - begun) / evaluations

    return once


def compiled_loop(value_and_gradient, z, *arguments, evaluations, compiler_options=None):
    """Compile many gradients in one loop, each at another place."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def many(z, *arguments):
        def step(place, _):
            value, slope = value_and_gradient(place, *arguments)
            return z + 1e-9 * slope / (1.0 + jnp.abs(slope)), value

        return lax.scan(step, z, None, length=evaluations)[1]

    return jax.jit(many, compiler_options=compiler_options).lower(jnp.asarray(z), *arguments).compile()


def keep_to_one_core():
    """Let XLA have one thread: more pass kernels to each other, and one of two equal programs is half as slow again.

    To be called before JAX starts its threads.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _prepare(devices=None):
    """Settle what JAX asks at its first use; as many devices as the library asks for, unless said otherwise."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", devices or min(4, os.cpu_count()))


def _case(case, **settings):
    import benchmark_cases

    found = getattr(benchmark_cases, case)(**settings)
    return found[0] if isinstance(found, tuple) else found


def fit(*, case, model="default", num_samples=None, method="nuts", again=True, case_settings=None, fit_settings=None):
    """A fit in a cold process, and again in the same one where that is asked for."""
    begun = time.perf_counter()
    import numpy as np

    import bayeslr as bl
    from bayeslr.inference.engine import sampler

    bl.fit, bl.ScalingModel  # noqa: B018 (loaded at first use)
    import_s = time.perf_counter() - begun
    curves = _case(case, **(case_settings or {}))
    settings = {"num_samples": num_samples} | (fit_settings or {})
    if method != "nuts":
        settings["method"] = method
    seconds, sampling = [], []
    _seconds_in(sampler.Sampler, "run", sampling)
    for seed in (0, 1) if again else (0,):
        begun = time.perf_counter()
        posterior = bl.fit(curves, _mode(model), seed=seed, **settings)
        seconds.append(time.perf_counter() - begun)
    law = {k: v.to_numpy() for k, v in posterior.draws.items()}
    effects = [k for k in law if k.startswith(("effect_", "common_"))]
    sampled = {p.name for p in posterior.model.law.parameters}
    derived = [*effects, *(k for k in posterior.model.law.reported_names if k not in sampled)]
    stats = posterior.tree["sample_stats"].to_dataset()
    health = bl.check(posterior)
    return {
        "import_s": import_s,
        "fit_cold_s": seconds[0],
        "fit_warm_s": seconds[1] if again else None,
        "sampling_s": sampling[-1] if sampling else 0.0,
        "ess": _ess(law, [*posterior.model.law.reported_names, "noise"]),
        "ess_all": _ess(law, [k for k in law if k not in effects]),
        "leapfrogs": float(stats["n_steps"].mean()) if "n_steps" in stats else 0.0,
        "draws": posterior.settings["num_samples"],
        "divergences": int(stats["diverging"].sum()) if "diverging" in stats else 0,
        "parameters": int(np.sum([np.prod(v.shape[2:]) for k, v in law.items() if k not in derived])),
        "health": health.status,
        "peak_rss_mb": _peak(),
    }


def peer(*, name, num_warmup, num_samples, budget_s):
    """A peer's fit in a cold process: sampled, with the effective sample size of the paper's parameters."""
    # NumPyro runs chains in parallel where each has a device
    _prepare(devices=4)
    begun = time.perf_counter()
    import numpy as np
    import peers

    import_s = time.perf_counter() - begun
    data = peers.arrays(_thinned("three_runs"))
    begun = time.perf_counter()
    if name.startswith("pymc"):
        scaled = name == "pymc_scaled"
        found = peers.sample_pymc(data, scaled=scaled, num_warmup=num_warmup, num_samples=num_samples)
        draws = found["draws"]
        if scaled:
            ratio = draws["slope"] / draws["alpha"]
            draws |= {"L0": draws["level"] - ratio, "A": ratio * data["area"] ** draws["alpha"]}
            draws |= {"C": draws["drop"] / (data["rate"] * draws["tau"]), "decay": 1.0 - 1.0 / draws["tau"]}
        adapted = num_warmup
    else:
        found = peers.sample_numpyro(name, data, num_warmup=num_warmup, num_samples=num_samples, budget_s=budget_s)
        draws, adapted = found["draws"], found["adapted"]
    count = int(draws["alpha"].shape[1])
    return {
        "import_s": import_s,
        "fit_s": time.perf_counter() - begun,
        "sampling_s": found["sampling_s"],
        "adapted": adapted,
        "draws": count,
        "ess": _ess(draws, PAPER) if count >= 10 else None,
        "means": {k: float(np.mean(draws[k])) for k in PAPER if count} if name.startswith("pymc") else {},
        "leapfrogs": found["leapfrogs"],
        "peak_rss_mb": _peak(),
    }


def _thinned(case, points=64, **settings):
    from benchmark_cases import thinned

    return thinned(_case(case, **settings), points)


def gradient(*, name, evaluations=200, case="three_runs", case_settings=None, points=64):
    """Seconds of one gradient, and of the features that it needs."""
    _prepare()
    import jax
    import peers

    curves = _case(case, **(case_settings or {}))
    model = _mode(name)
    curves = curves.after_warmup().thin(points)
    scale = model.scale(curves)
    # once for the libraries that load at their first use
    model.observations(curves, scale)
    begun = time.perf_counter()
    model.observations(curves, scale)
    features_s = time.perf_counter() - begun
    if name not in PEERS:
        density, observations, start = peers.library_gradient(curves, model)
        seconds = _loop_gradient(jax.value_and_grad(density), start, observations, evaluations=evaluations)
        return {"gradient_s": seconds, "features_s": features_s, "peak_rss_mb": _peak(), "dimensions": len(start)}
    data = peers.arrays(curves)
    if name.startswith("pymc"):
        function, start = peers.pymc_gradient(data, scaled=name == "pymc_scaled")
        function(start)
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            for _ in range(evaluations):
                function(start)
            times.append((time.perf_counter() - begun) / evaluations)
        seconds = min(times)
    else:
        density, start = peers.numpyro_density(name, data)
        if name == "by_hand":
            evaluations = max(1, evaluations // 50)
        seconds = _loop_gradient(jax.value_and_grad(density), start, evaluations=evaluations)
    return {"gradient_s": seconds, "features_s": features_s, "peak_rss_mb": _peak(), "dimensions": len(start)}


def profile(*, case):
    """Parts of one gradient on one core: name, microseconds, kernels."""
    import profile_gradient

    keep_to_one_core()
    return {"parts": profile_gradient.measure(*profile_gradient.compile_parts(case))}


def gradients_in_turn(*, steps, rounds=40, evaluations=100):
    """Seconds of one gradient for runs of several lengths, in turn, so that a busy minute does not hit one of them."""
    cases = {str(length): ("default", "simulated", {"steps": length, "observations": 100}) for length in steps}
    return _in_turn(cases, rounds, evaluations)


def gradients_of_laws(*, laws, case="three_runs", rounds=40, evaluations=100):
    """The same of several laws."""
    return _in_turn({law: (law, case, {}) for law in laws}, rounds, evaluations)


def _in_turn(cases, rounds, evaluations):
    keep_to_one_core()
    _prepare()
    import jax
    import peers

    loops = {}
    for name, (model, case, settings) in cases.items():
        density, observations, start = peers.library_gradient(_thinned(case, **settings), _mode(model))
        loops[name] = _loop(jax.value_and_grad(density), start, observations, evaluations=evaluations)
    seconds = [{name: once() for name, once in loops.items()} for _ in range(rounds)]
    return {name: min(row[name] for row in seconds) for name in cases}


def forecast(*, schedules, steps=100_000, num_samples=1000, model="default"):
    """Predict the end of many schedules, and compare them. What the draws are does not matter to the time it takes."""
    import numpy as np

    import bayeslr as bl

    posterior = bl.fit(_case("three_runs"), _mode(model), seed=0, num_samples=num_samples, method="laplace")
    rng = np.random.default_rng(0)

    def plans(count):
        shapes = zip(rng.uniform(2e-4, 4e-4, count), rng.uniform(0.05, 0.5, count), strict=True)
        return {
            f"plan {k}": bl.schedules.wsd(
                peak_lr=float(peak),
                final_lr=1e-5,
                warmup_steps=steps // 50,
                decay_steps=int(share * steps),
                total_steps=steps,
            )
            for k, (peak, share) in enumerate(shapes)
        }

    bl.compare_schedules(bl.predict(posterior, plans(2), steps=steps, seed=0))
    begun = time.perf_counter()
    asked = plans(schedules)
    build_s = time.perf_counter() - begun
    begun = time.perf_counter()
    answer = bl.predict(posterior, asked, steps=steps, seed=0)
    predict_s = time.perf_counter() - begun
    # so many points at once are a program of their own, which the first call compiled
    begun = time.perf_counter()
    answer = bl.predict(posterior, asked, steps=steps, seed=1)
    again_s = time.perf_counter() - begun
    begun = time.perf_counter()
    comparison = bl.compare_schedules(answer)
    compare_s = time.perf_counter() - begun
    return {
        "schedules": len(comparison.p_best),
        "build_s": build_s,
        "predict_s": predict_s,
        "predict_again_s": again_s,
        "compare_s": compare_s,
        "peak_rss_mb": _peak(),
    }


def refits(*, folds, num_samples=250):
    """Refits that leave one run out each, as a backtest does: programs compiled at each."""
    import jax

    import bayeslr as bl
    from bayeslr.curves import CurveSet

    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(seconds) if name.endswith("backend_compile_duration") else None
    )
    curves = _case("nine_runs").after_warmup()
    scale = bl.ScalingModel().scale(curves.thin(64))
    counts, longest, seconds = [], [], []
    for fold in range(folds):
        kept = CurveSet(curves=tuple(c for k, c in enumerate(curves) if k != fold % len(curves)))
        compiled.clear()
        begun = time.perf_counter()
        bl.fit(kept, seed=0, num_samples=num_samples, scale=scale)
        seconds.append(time.perf_counter() - begun)
        counts.append(len(compiled))
        longest.append(max(compiled, default=0.0))
    return {
        "compiled": counts,
        "longest_compile_s": longest,
        "fit_s": seconds,
    }


def _peak():
    """Largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


if __name__ == "__main__":
    figures = globals()[sys.argv[1]](**json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(figures) + "\n")
