"""Small logs as people have them, with the right reading of each, driven by the checker that comes with them.

The checker lies beside the public curves (``cases`` beside ``BAYESLR_DATA``); each case is read in this process and
judged by its own expressions.
"""

import importlib.util
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import bayeslr as bl

FOLDER = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[3] / "shared" / "data")).parent / "cases"
KINDS = {
    "a step is missing": "c02b",
    "losses count epochs, rates count updates": "tb_c08",
    "a column a run": "c01",
    "two optimisers": "c38",
    "a cool-down counts its own steps": "c43b",
    "validation in one run, training in the other": "c96",
    "zeros after an overflow": "c06",
    "times the accumulation steps from the middle on": "c05b",
    "steps within epochs": "c27",
    "rows of two splits": "c14",
    "tokens for steps": "c71",
    "JSON lines that are cut off": "c20",
    "an object of lists": "c12",
    "fairseq: bits, two counters": "c04",
    "an empty column with the exact name": "c24",
    "Megatron's console": "c15a",
    "dicts without a step": "c15e",
    "a list of one rate": "c09",
    "a CSV that is cut off": "c110",
    "a comment in the middle": "c76",
    "Lightning's names": "c34",
    "Composer's names": "c16",
    "two runs told apart by name": "c19",
    "TensorBoard after a crash": "tb_c28b",
    "a schedule that was stepped too fast": "c91",
    "the same with the schedule that was meant": "c91_schedule",
    "W&B's file after a crash": "c10a",
}


@pytest.fixture(scope="module")
def checker():
    if not (FOLDER / "cases.csv").is_file():
        reason = f"no cases in {FOLDER}; they lie beside the folder of BAYESLR_DATA"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    spec = importlib.util.spec_from_file_location("check_cases", FOLDER / "check_cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.cases_in(FOLDER)


def read(module, row):
    """What came of a case, as the checker describes it."""
    paths = [str(FOLDER / name) for name in row["paths"].split()]
    options = {key.strip(): value for key, _, value in (o.partition("=") for o in row["options"].split(";") if o)}
    wanted = {key for curves, _ in row["accept"] for curve in curves for key in curve if "@" in key}
    result = {"curves": [], "notes": [], "error": None, "crash": None}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            curves = bl.read_curves(paths[0]) if len(paths) == 1 and not options else bl.read_logs(paths, **options)
            result["curves"] = [module.described(curve, wanted, np) for curve in curves]
        except bl.errors.BayeslrError as problem:
            result["error"] = module.without_paths(str(problem), FOLDER, row)
    result["notes"] = [module.without_paths(str(one.message), FOLDER, row) for one in said]
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_right_or_refused_for_the_right_reason(checker, kind):
    module, rows = checker
    row = rows[KINDS[kind]]
    result = read(module, row)
    assert any(module.met(result, accepted) for accepted in row["accept"]), (row["why"], result)


def test_every_case_is_here(checker):
    assert set(checker[1]) == set(KINDS.values())
