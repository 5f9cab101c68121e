"""Faults: a full disk, an interrupt, a name taken meanwhile, what no check foresaw; each is a line and an exit code."""

import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import pytest

import bayeslr as bl
from bayeslr.inference import load_posterior, prepare_devices

FULL = Path("/dev/full")
LAPLACE = ("--method", "laplace", "--chains", "1", "--draws", "200")


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), OverflowError("x" * 9999), KeyError("a"), RuntimeError("a\nb"), MemoryError()]
)
def test_what_no_check_foresaw_is_one_line_that_names_the_file(error, run, posterior_file, monkeypatch):
    def broken(_):
        raise error

    monkeypatch.setattr(bl, "load_posterior", broken, raising=False)
    code, out, err = run("summary", posterior_file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {posterior_file}: ")
    assert len(err) <= 500
    with pytest.raises(type(error)):
        run("summary", posterior_file, "--debug")


def test_a_fit_whose_name_was_taken_meanwhile_is_not_lost(run, manifest, tmp_path, monkeypatch):
    target, fit = tmp_path / "p.nc", bl.fit

    def slow(*arguments, **settings):
        target.write_text("of somebody else")
        return fit(*arguments, **settings)

    monkeypatch.setattr(bl, "fit", slow, raising=False)
    code, _, err = run("fit", manifest, "--where", "split == 'train'", "-o", target, *LAPLACE)
    assert code == 2
    assert f"this fit was saved as {tmp_path / 'p-2.nc'}" in err.splitlines()[-1]
    assert target.read_text() == "of somebody else"
    assert load_posterior(tmp_path / "p-2.nc").sizes == ("small",)


def test_an_interrupt_is_one_line(run, posterior_file, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bl, "load_posterior", interrupted, raising=False)
    code, out, err = run("summary", posterior_file)
    assert (code, out, err.strip()) == (130, "", "error: interrupted")


BUSY = """
    import hashlib, importlib, os, signal, sys
    # a job in the background of a script is started with interrupts ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    boundary = importlib.import_module("bayeslr.cli.main")
    def busy(*_, **__):
        print("busy", flush=True)
        # minutes of work in C that does not look up
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 300_000_000)
    boundary.app = busy
    sys.argv = ["bayeslr", "x"]
    boundary.program()
"""


def test_an_interrupt_is_obeyed_by_work_that_does_not_look_up():
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BUSY)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "busy\n"
        started = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert time.perf_counter() - started < 10
    assert (process.returncode, err) == (130, "error: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.3, 15.0], ids=["while it compiles", "while it samples"])
def test_an_interrupt_of_a_fit_is_one_line_and_leaves_nothing(manifest, tmp_path, after):
    command = [sys.executable, "-m", "bayeslr", "fit", str(manifest), "--where", "split == 'train'"]
    command += ["-o", str(tmp_path / "p.nc"), "--draws", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # what was read is told when the fit begins
        while " losses at " not in (line := process.stderr.readline()):
            assert line, "the fit has ended before it began"
        time.sleep(after)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(run, posterior_file, manifest, tmp_path, monkeypatch):
    posterior = load_posterior(posterior_file)
    monkeypatch.setattr(bl, "fit", lambda *_, **__: posterior, raising=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # no file may grow beyond this, as if the disk were full
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        code, out, err = run("fit", manifest, "--where", "split == 'train'", "-o", tmp_path / "p.nc")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"error: {tmp_path / 'p.nc'}: File too large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not FULL.exists(), reason="no such device")
def test_a_full_standard_output_is_named(posterior_file):
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bayeslr", "summary", str(posterior_file)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=200,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: standard output: No space left on device; allowed: ")


@pytest.mark.parametrize("value", ["", "relative"])
def test_an_empty_or_relative_cache_folder_is_unset(value, tmp_path, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        prepare_devices()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / ".cache" / "bayeslr" / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
