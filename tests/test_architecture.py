"""The rules of the house: who may import whom, where heavy packages may appear, how long a file may be, and that a law
alone knows what its parameters are called."""

import ast
import re
from pathlib import Path

import pytest

from bayeslr.model import LAWS

LIBRARY = Path(__file__).parents[1] / "bayeslr"
# from the ground floor up: a room imports only from those before it, and from itself
ROOMS = [
    *("errors", "forking", "files", "markup", "written", "schedules", "curves", "logs", "datasets", "laws"),
    *("model", "inference", "forecast", "evaluation", "report", "cli"),
]
# the front door re-exports, and the command line may come in by it
FREE = {"__init__", "__main__", "cli"}
ONLY_IN = {
    "numpyro": {"model", "inference", "forecast", "evaluation"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "typer": {"cli"},
}
# packages of the extras, imported inside the one function that needs them
OPTIONAL = {"distributed", "google", "jinja2", "optax", "pooch", "tensorboard", "wandb"}

PARAMETERS = {parameter.name for law in LAWS.values() for parameter in law().parameters}
# "alpha", and the sites that pooling makes of it
SITE = re.compile(rf"({'|'.join(sorted(PARAMETERS))})(_(mean|sd|slope|gap|beta))?")
# words that mean something else where they stand
HOMONYMS = {
    # what a trend over sizes consists of
    ("model/pooling.py", "slope"),
    ("model/pooling.py", "beta"),
    ("inference/engine/hyperparameters.py", "slope"),
    # how opaque an artist is
    ("report/plots", "alpha="),
}


def named_parameters(path, text):
    """Find the parameters of laws that a file names, as text or as arguments."""
    if path.parts[0] == "laws":
        return []
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SITE.fullmatch(node.value):
            found.append(node.value)
        # a word or a flag is no value of a parameter: Block(level="size"), reset_index(drop=True)
        word = isinstance(node, ast.keyword) and isinstance(getattr(node.value, "value", None), str | bool)
        if isinstance(node, ast.keyword) and SITE.fullmatch(node.arg or "") and not word:
            found.append(f"{node.arg}=")
    return found


def violations(path, text):
    """Say what the file at this path of the library breaks."""
    room = path.parts[0].removesuffix(".py")
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    found = ["has 400 lines or more"] if text.count("\n") >= 400 else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append("has a relative import")
            continue
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if package == "bayeslr" and room not in FREE and target not in ROOMS[: ROOMS.index(room) + 1]:
                found.append(f"imports {name}")
            if package in ONLY_IN and room not in ONLY_IN[package]:
                found.append(f"imports {name}")
            # the command line imports late, so that --help is quick
            if node in inside and room != "cli" and package not in OPTIONAL:
                found.append(f"imports {name} inside a function")
    places = (path.as_posix(), path.parent.as_posix())
    names = {name for name in named_parameters(path, text) if not any((place, name) in HOMONYMS for place in places)}
    return found + [f"names {name}, a parameter of a law" for name in sorted(names)]


def test_every_file_is_in_a_known_room():
    found = {path.relative_to(LIBRARY).parts[0].removesuffix(".py") for path in LIBRARY.rglob("*.py")}
    assert found <= FREE | set(ROOMS)


def test_every_homonym_is_still_there():
    found = set()
    for path in LIBRARY.rglob("*.py"):
        place = path.relative_to(LIBRARY)
        for name in named_parameters(place, path.read_text()):
            found |= {(place.as_posix(), name), (place.parent.as_posix(), name)} & HOMONYMS
    assert found == HOMONYMS
    assert {"level", "slope", "alpha", "drop", "tau", "area_memory", "memory_spread", "gamma"} <= PARAMETERS


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY)))
def test_the_rules_hold(path):
    assert violations(path.relative_to(LIBRARY), path.read_text()) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("laws/areas.py", "from bayeslr.model import priors"),
        ("laws/areas.py", "from bayeslr import report"),
        ("curves/curve.py", "import bayeslr"),
        ("curves/curve.py", "import bayeslr.logs.tidy"),
        ("curves/curve.py", "from . import sharing"),
        ("errors.py", "if True:\n    from bayeslr.schedules import Schedule"),
        ("laws/areas.py", "import numpyro.distributions as dist"),
        ("model/noise.py", "from matplotlib import pyplot"),
        ("report/html.py", "import typer"),
        ("logs/text.py", "def read():\n    import pandas"),
        ("logs/text.py", "x = 1\n" * 400),
        ("inference/health.py", "tau = draws['tau']"),
        ("forecast/sizes.py", "known = {'memory_spread': 1.5}"),
        ("model/priors.py", "name = 'level_gap'"),
        ("model/curves.py", "law.loss(schedule, steps, alpha=0.5)"),
        ("model/pooling.py", "values['drop']"),
        ("report/tables.py", "Parameter(slope=slope)"),
        ("report/plots/bands.py", "values['alpha']"),
    ],
)
def test_a_broken_rule_is_found(path, text):
    assert len(violations(Path(path), text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cli.py", "import bayeslr as bl\nimport typer\ndef fit():\n    from bayeslr.inference import fit"),
        ("logs/wandb_file.py", "def read():\n    from wandb.proto import wandb_internal_pb2"),
        ("__init__.py", "from bayeslr.report import plots"),
        ("laws/annealing.py", "values['alpha']"),
        ("model/discrepancy.py", "Block(level='size')"),
        ("logs/text.py", "frame.reset_index(drop=True)"),
        ("report/plots/bands.py", "ax.plot(alpha=0.5)"),
        ("cli/options.py", "example = 'alpha=LogNormal(-0.7, 0.4), tau'"),
        ("model/noise.py", "import numpyro\nfrom bayeslr.laws import Scale\nfrom bayeslr.model import priors"),
    ],
)
def test_what_is_allowed_is_not_reported(path, text):
    assert violations(Path(path), text) == []
