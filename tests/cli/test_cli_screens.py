"""What commands show on a terminal of 80 columns: nothing is wider that can be folded, and tables stay whole."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import bayeslr as bl

WIDTH = 80
CASES = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[3] / "shared" / "data")).parent / "cases"
COMMANDS = (
    *("demo", "init", "fit", "check", "summary", "predict", "compare", "optimize", "reach", "next-run"),
    *("watch", "metric", "report", "backtest"),
)
COSINE = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=3000)"
WSD = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)"


def too_wide(screen):
    """Lines past the width that could be folded: words stand beyond it, and it is no command to copy."""
    return [
        line for line in screen.splitlines() if len(line) > WIDTH and " " in line.strip() and not line.startswith("  ")
    ]


@pytest.fixture
def screen(run, monkeypatch):
    """A function that runs a command as on a terminal of 80 columns, and returns all that it shows."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TQDM_DISABLE", "1")

    def shown(*arguments, code=0):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        found, out, err = run(*arguments)
        assert found == code, err
        return err + out

    return shown


@pytest.fixture(scope="module")
def cases():
    if not (CASES / "cases.csv").is_file():
        reason = f"no cases in {CASES}; they lie beside the folder of BAYESLR_DATA"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return CASES


def test_a_manifest_of_dirty_logs(screen, cases, tmp_path, monkeypatch):
    # the path of a manifest is shown whole, however long
    monkeypatch.chdir(tmp_path)
    shown = screen("init", cases, "-o", "runs.csv")
    assert not too_wide(shown)
    # long messages among them, whose words are all still there
    assert "c05b: the loss jumps from 3.35 at step 1000 to 26.72 at step 1100" in " ".join(shown.split())
    assert shown.count("\n- ") > 10


def test_what_is_said_of_a_dirty_log_and_its_fit(screen, cases, tmp_path):
    options = ("--method", "laplace", "--chains", "1", "--draws", "100")
    shown = screen("fit", cases / "c38.csv", "-o", tmp_path / "p.nc", *options)
    assert "warning: " in shown
    assert "c38: 20 losses" in shown
    assert "\nNext, for example:\n  bayeslr predict " in shown
    assert not too_wide(shown)
    # of the same, quiet says only the result
    quiet = screen("fit", cases / "c38.csv", "-o", tmp_path / "q.nc", *options, "--quiet")
    assert "warning: c38" not in quiet
    assert "losses" not in quiet.partition("health:")[0]
    assert "health: " in quiet


@pytest.mark.parametrize("name", COMMANDS)
def test_help(screen, name):
    assert not too_wide(screen(name, "--help"))


def test_the_list_of_commands_has_one_whole_sentence_each(screen):
    listed = screen("--help").partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed if line[2] != " "] == list(COMMANDS)
    mine = [line for line in listed if line.split()[0] in ("demo", "init", "fit", "check", "summary", "predict")]
    assert all(line.endswith(".") and not line.endswith("...") for line in mine)


@pytest.mark.filterwarnings("ignore::bayeslr.errors.BayeslrWarning")
@pytest.mark.parametrize(
    "arguments",
    [
        ("summary", "{p}"),
        ("summary", "{p}", "--all"),
        ("check", "{p}"),
        ("predict", "{p}", "--schedule", COSINE, "--schedule", f"a-rather-long-name-of-a-plan-{'x' * 40}={WSD}"),
        ("predict", "{p}", "--schedule", "constant(peak_lr=2e-3, warmup_steps=100, total_steps=90000)"),
        ("compare", "{p}", "--schedule", COSINE, "--schedule", WSD),
    ],
    ids=lambda arguments: " ".join(arguments[::2])[:30],
)
def test_answers(screen, posterior_file, arguments):
    assert not too_wide(screen(*(text.format(p=posterior_file) for text in arguments)))


@pytest.mark.slow
def test_a_backtest(screen, manifest):
    options = ("--method", "laplace", "--chains", "1", "--draws", "200", "--by", "run", "--where", "split == 'train'")
    assert not too_wide(screen("backtest", manifest, *options))


def test_a_pipe_gets_one_line_for_each_warning_and_error(run, cases, tmp_path, monkeypatch):
    # which workers of pytest set, and some containers
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    code, _, err = run("fit", cases / "c71.csv", "-o", tmp_path / "p.nc")
    assert code == 2
    assert err.count("\n") == 1
    assert len(err) > WIDTH
    assert "--step" in err
    _, _, err = run("fit", cases / "c38.csv", "-o", tmp_path / "p.nc", "--max-step", "1")
    warnings = [line for line in err.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 2
    assert warnings[0].endswith("name one with --lr")
    assert "the first rate is logged at step 100" in warnings[1]


def on_terminal(*arguments):
    """Run a command on a terminal of 80 columns; return its exit code and what the terminal shows at the end."""
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "CI")}
    command = [sys.executable, "-m", "bayeslr", *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(parts).decode())
    # a bar that is drawn over stands on one line
    return process.returncode, "\n".join(line.split("\r")[-1] for line in text.replace("\r\n", "\n").split("\n"))


def test_a_terminal_of_80_columns(cases, tmp_path):
    code, shown = on_terminal("init", cases / "c71.csv", "-o", tmp_path / "runs.csv")
    assert code == 2
    assert shown.startswith("bayeslr init ...")
    assert len(shown.splitlines()) > 2
    assert not too_wide(shown)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell):
    asked = {"_BAYESLR_COMPLETE": f"complete_{shell}", "COMP_WORDS": "bayeslr pre", "COMP_CWORD": "1"}
    asked |= {"_TYPER_COMPLETE_ARGS": "bayeslr pre", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-m", "bayeslr"], capture_output=True, text=True, env=os.environ | asked, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "predict" in done.stdout
    assert "compare" not in done.stdout


@pytest.mark.parametrize("depth", ["", "1"])
def test_hints_spell_the_program_as_it_was_started(depth):
    code = "import sys; sys.argv[0] = 'bayeslr'; from bayeslr.cli import main; main(['--help'])"
    environment = os.environ | {"UV_RUN_RECURSION_DEPTH": depth, "COLUMNS": str(WIDTH)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    hint = done.stdout.partition("Begin with")[2]
    assert hint.startswith(" `uv run bayeslr demo`" if depth else " `bayeslr demo`")
    assert ("uv run bayeslr fit" in hint) == bool(depth)


def test_a_version_is_shown(run):
    assert run("--version") == (0, f"bayeslr {bl.__version__}\n", "")
