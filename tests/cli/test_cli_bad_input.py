"""Wrong input: exit code 2, one line on stderr that says what and where, and nothing written."""

import subprocess
import sys

import pytest

COSINE = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
WSD = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)"
ONE = ["--schedule", COSINE]

# arguments ({folder}: where the files below lie), and what the message must name
BAD = {
    "no such command": (["guess"], ["guess"]),
    "no such option": (["summary", "{p}", "--nonsense"], ["--nonsense"]),
    "no argument": (["summary"], ["POSTERIOR.nc"]),
    "no logs": (["fit"], ["MANIFEST_OR_LOGS"]),
    "unknown format": (["summary", "{p}", "--format", "xml"], ["--format", "xml", "json"]),
    "interval above one": (["summary", "{p}", "--ci-prob", "90"], ["--ci-prob", "90", "between 0 and 1"]),
    "interval of zero": (["predict", "{p}", *ONE, "--ci-prob", "0"], ["--ci-prob", "between 0 and 1"]),
    "interval not a number": (["predict", "{p}", *ONE, "--ci-prob", "wide"], ["--ci-prob", "wide"]),
    "posterior missing": (["summary", "{folder}/none.nc"], ["none.nc", "no such file"]),
    "posterior is a folder": (["check", "{folder}"], ["{folder}"]),
    "posterior is text": (["summary", "{folder}/text.nc"], ["text.nc", "netCDF"]),
    "posterior is empty": (["summary", "{folder}/empty.nc"], ["empty.nc", "netCDF"]),
    "posterior cut short": (["summary", "{folder}/cut.nc"], ["cut.nc"]),
    "posterior of something else": (["summary", "{folder}/other.nc"], ["other.nc", "not a posterior"]),
    "no schedule": (["predict", "{p}"], ["--schedule"]),
    "unknown schedule": (["predict", "{p}", "--schedule", "triangle(peak_lr=1)"], ["triangle", "cosine"]),
    "schedule without arguments": (["predict", "{p}", "--schedule", "cosine()"], ["cosine()", "peak_lr"]),
    "schedule is code": (["predict", "{p}", "--schedule", "__import__('os').getcwd()"], ["allowed"]),
    "schedule is a callable": (["predict", "{p}", "--schedule", "@os:getcwd(total_steps=9)"], ["callable"]),
    "schedule file missing": (["predict", "{p}", "--schedule", "@{folder}/none.csv"], ["none.csv"]),
    "schedule without a name": (["predict", "{p}", "--schedule", f"={COSINE}"], ["--schedule", "NAME"]),
    "name of a terminal's command": (
        ["predict", "{p}", "--schedule", f"\x1b[31ma={COSINE}"],
        ["'\\x1b[31ma'", "printable"],
    ),
    "two of one name": (["compare", "{p}", "--schedule", COSINE, "--schedule", COSINE], ["'cosine'", "NAME=SPEC"]),
    "only one to compare": (["compare", "{p}", *ONE], ["--schedule", "at least two"]),
    "unknown size": (["predict", "{p}", *ONE, "--size", "huge"], ["size", "huge", "small"]),
    "negative size": (["predict", "{p}", *ONE, "--size=-4e8"], ["size", "allowed: small (10,000,000)"]),
    "size that was not fitted": (["predict", "{p}", *ONE, "--size", "4e8"], ["'4e8'", "small"]),
    "steps negative": (["predict", "{p}", *ONE, "--steps=-5"], ["--steps", "-5"]),
    "steps file missing": (["predict", "{p}", *ONE, "--steps", "@{folder}/none.csv"], ["--steps", "none.csv"]),
    "steps file without step": (["predict", "{p}", *ONE, "--steps", "@{folder}/log.csv"], ["--steps", "loss"]),
    "steps file empty": (["predict", "{p}", *ONE, "--steps", "@{folder}/empty.nc"], ["--steps", "empty.nc"]),
    "steps not whole": (["predict", "{p}", *ONE, "--steps", "@{folder}/half.csv"], ["half.csv", "line 3", "0.5"]),
    "steps beyond the end": (["predict", "{p}", *ONE, "--steps", "@{folder}/late.csv"], ["9000", "1 to 2000"]),
    "few draws": (["predict", "{p}", *ONE, "--draws", "3"], ["--draws", "50"]),
    "negative seed": (["predict", "{p}", *ONE, "--seed=-1"], ["--seed", "-1"]),
    "observed run missing": (["predict", "{p}", *ONE, "--observed", "{folder}/none.csv"], ["none.csv"]),
    "picture of unknown kind": (["predict", "{p}", *ONE, "--plot", "{folder}/x.xlsx"], ["--plot", ".xlsx", ".png"]),
    "bands exist": (["predict", "{p}", *ONE, "-o", "{folder}/log.csv"], ["--output", "exists", "--force"]),
    "picture exists": (["predict", "{p}", *ONE, "--plot", "{folder}/old.png"], ["--plot", "exists", "--force"]),
    "bands are a folder": (["predict", "{p}", *ONE, "-o", "{folder}"], ["--output", "folder"]),
    "no folder for bands": (["predict", "{p}", *ONE, "-o", "{folder}/no/b.csv"], ["--output", "does not exist"]),
    "manifest missing": (["fit", "{folder}/none.csv"], ["none.csv"]),
    "query invalid": (["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split =="], ["split =="]),
    "query on no column": (["fit", "{m}", "-o", "{folder}/n.nc", "--where", "color == 'red'"], ["color"]),
    "query selects nothing": (["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split == 'x'"], ["split == 'x'"]),
    "log with text": (["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split == 'broken'"], ["broken.csv", "three"]),
    "no such loss column": (
        ["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split == 'train'", "--loss", "val"],
        ["val", "loss"],
    ),
    "log without schedule": (["fit", "{folder}/steps.csv", "-o", "{folder}/n.nc"], ["steps.csv", "schedule"]),
    "manifest and option": (["fit", "{m}", "-o", "{folder}/n.nc", "--size", "25M"], ["runs.csv", "--size"]),
    "two manifests": (["fit", "{m}", "{m}", "-o", "{folder}/n.nc"], ["runs.csv", "one manifest"]),
    "unknown law": (["fit", "{m}", "--law", "gravity"], ["--law", "gravity", "annealing"]),
    "unknown pooling": (["fit", "{m}", "--pooling", "some"], ["--pooling", "some", "partial"]),
    "unknown warm-up": (["fit", "{m}", "--warmup", "cold"], ["--warmup", "cold", "peak"]),
    "no chains": (["fit", "{m}", "--chains", "0"], ["--chains", "0"]),
    "few draws a chain": (["fit", "{m}", "--draws", "3"], ["--draws", "50"]),
    "prior without a name": (["fit", "{m}", "-o", "{folder}/n.nc", "--prior", "Normal(0, 1)"], ["--prior", "NAME"]),
    "prior of no parameter": (
        ["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split == 'train'", "--prior", "beta=Normal(0, 1)"],
        ["beta", "alpha"],
    ),
    **{
        f"prior {prior}": (
            ["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split == 'train'", "--prior", f"alpha={prior}"],
            ["prior of alpha", prior, "allowed: "],
        )
        for prior in ("Uniform(2,1)", "LogNormal(0,1e300)", "Gamma(1e-300,1e300)", "TruncatedNormal(0,1,low=1e6)")
    },
    "before the first observation": (
        ["fit", "{m}", "-o", "{folder}/n.nc", "--where", "split == 'train'", "--max-step", "5"],
        ["step 5"],
    ),
    "posterior exists": (["fit", "{m}", "-o", "{folder}/text.nc"], ["--output", "text.nc", "exists", "--force"]),
    "demo picture exists": (["demo", "--plot", "{folder}/old.png"], ["--plot", "exists"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, posterior_file, small_posterior):
    """Files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.nc").write_text("not a posterior\n")
    (folder / "empty.nc").write_bytes(b"")
    content = posterior_file.read_bytes()
    (folder / "cut.nc").write_bytes(content[: len(content) // 2])
    small_posterior.draws.to_netcdf(folder / "other.nc", engine="h5netcdf")
    (folder / "log.csv").write_text("loss\n3.0\n")
    (folder / "half.csv").write_text("step\n200\n200.5\n")
    (folder / "late.csv").write_text("step\n200\n9000\n")
    (folder / "steps.csv").write_text("step,loss\n" + "".join(f"{s},{3 - s / 1e4}\n" for s in range(100, 2000, 100)))
    (folder / "old.png").write_bytes(b"picture")
    return folder


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, run, folder, posterior_file, manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, named = BAD[case]
    places = {"folder": folder, "p": posterior_file, "m": manifest}
    before = listing(folder), listing(posterior_file.parent), listing(manifest.parent)
    code, out, err = run(*(argument.format(**places) for argument in arguments))
    assert code == 2
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    for part in named:
        assert part.format(**places) in lines[0]
    assert (listing(folder), listing(posterior_file.parent), listing(manifest.parent)) == before
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_with_the_same_code_and_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bayeslr", "predict", "none.nc", "--schedule", "triangle()"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: schedule spec 'triangle()'")


def test_debug_shows_the_traceback(run, posterior_file):
    with pytest.raises(ValueError, match="triangle"):
        run("predict", posterior_file, "--schedule", "triangle()", "--debug")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_a_posterior_cut_short_is_refused(share, run, posterior_file, tmp_path):
    content = posterior_file.read_bytes()
    (tmp_path / "cut.nc").write_bytes(content[: int(share * len(content))])
    code, out, err = run("summary", tmp_path / "cut.nc")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cut.nc" in err
