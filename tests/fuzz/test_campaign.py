"""Small campaigns of damaged and hostile inputs, and the campaign's own eyes: what it must not overlook."""

import subprocess
import sys
from pathlib import Path

import campaign
import pytest
from campaign import BAD, Worker, ask_kind
from inputs import KINDS

CAMPAIGN = Path(__file__).with_name("campaign.py")


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.stop()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "posterior file"])
def test_a_few_inputs_of_each_kind(worker, kind):
    counts, bad = ask_kind(worker, kind, 40, start=0)
    assert bad == []
    assert sum(counts.values()) == 40


def test_the_worker_sees_what_must_not_happen(worker):
    for kind, outcome in (
        ("code", "code"),
        ("writing", "code"),
        ("wrong answer", "silent"),
        ("error", "traceback"),
        ("long line", "traceback"),
        ("memory", "memory"),
        ("death", "traceback"),
        ("right answer", "right"),
    ):
        assert worker.ask("test of the worker", kind)["outcome"] == outcome, kind


@pytest.mark.parametrize(("limit", "what"), [("PATIENCE", "endless"), ("LONGEST", "waiting")])
def test_what_computes_or_waits_for_long_is_a_hang(worker, monkeypatch, limit, what):
    monkeypatch.setattr(campaign, limit, 1)
    assert worker.ask("test of the worker", what)["outcome"] == "hang"


@pytest.mark.slow
def test_five_thousand_inputs():
    done = subprocess.run(
        [sys.executable, str(CAMPAIGN), "--inputs", "5000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert all(f" {name}" in done.stdout for name in ("silent change", "hang", "code run"))
    assert set(BAD) == {"silent", "traceback", "hang", "memory", "code"}
