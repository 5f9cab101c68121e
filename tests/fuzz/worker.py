"""A child process that is given inputs, one a line, and says of each what came of it.

Its memory is limited; what it runs, writes outside its folder or asks of a network is reported by an audit hook,
whoever does it. The answer to an accepted input is compared with a second way to the same answer.
"""

import ast
import base64
import csv
import gc
import io
import json
import os
import re
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from inputs import MANIFEST, PLAN, log_text

import bayeslr as bl
from bayeslr.curves.selection import matching_rows
from bayeslr.errors import BayeslrError, ManifestError
from bayeslr.inference import load_posterior
from bayeslr.inference.integrity import sealed
from bayeslr.model.priors import parse_prior, prior_text
from bayeslr.schedules import from_csv, parse_family, parse_schedule

MEMORY = 4 * 2**30
RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "pty.spawn")
TABLE = pd.DataFrame(
    {
        "run": ["wsd-0", "wsd-1", "cosine-12000", "cyclic"],
        "size": ["25M", "25M", "100M", "100M"],
        "params": [2.5e7, 2.5e7, 1e8, 1e8],
        "seed": [0, 1, 2, 3],
        "total_steps": [1000, 2000, 12_000, 4000],
        "rerun": [False, True, False, True],
        "weight decay": [0.1, 0.2, 0.1, 0.3],
    }
)
seen = []


def watch(event, arguments):
    """Note what runs code, opens a connection, or writes outside the folder of this process."""
    if event.startswith(RUNS):
        seen.append(event)
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path, flags = os.fsdecode(arguments[0]), arguments[2] or 0
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not str(FOLDER / path).startswith((f"{FOLDER}/given", f"{FOLDER}/edited", "/dev/null")):
            seen.append(f"writes {path}")


def query(text):
    rows = matching_rows(TABLE, text, error=ManifestError, where="runs.csv")
    named = re.sub(r"\.(startswith|contains|match|endswith|len|lower|upper|strip)\(", r".str.\1(", text)
    named = named.replace(".str.str.", ".str.")
    # a line end within brackets is a space to Python's parser, and none to pandas'
    named = re.sub(r"[\r\n]", " ", named)
    expected = TABLE.eval(named, engine="python", local_dict={}, global_dict={})
    return np.array_equal(np.asarray(expected), rows)


def spec(text):
    schedule = parse_schedule(text, base_dir=FOLDER)
    if text.strip().startswith("@"):
        return schedule.total_steps == 1001 and schedule.peak_lr == 0.001
    call = ast.parse(text.strip(), mode="eval").body
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    peak = given["peak_lr"][0] if isinstance(given["peak_lr"], list | tuple) else given["peak_lr"]
    once_more = parse_schedule(schedule.spec)
    at_peak = schedule.lr[schedule.warmup_steps] == peak
    return schedule.total_steps == given["total_steps"] and at_peak and once_more == schedule


def family(text):
    members = parse_family(text).members()
    # every member is what the spec of an ordinary schedule says
    return all(member.schedule == parse_schedule(member.schedule.spec) for member in members[:5])


def prior(text):
    distribution = parse_prior(text, "alpha")
    call = ast.parse(text.strip(), mode="eval").body
    first = [ast.literal_eval(value) for value in [*call.args, *(word.value for word in call.keywords)]]
    written = prior_text(distribution, "alpha")
    kept = sorted(float(value) for value in re.findall(r"=(-?[\d.e+-]+)", written))
    same = all(any(np.isclose(float(value), k, rtol=1e-6) for k in kept) for value in first)
    return same and prior_text(parse_prior(written, "alpha"), "alpha") == written


def text_of(content):
    """The text of a file, by another way than the library's."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def floats(text):
    found = set()
    for token in re.findall(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?", text):
        for form in {token, token.strip(","), token.replace(",", "."), *token.split(",")}:
            try:
                found.add(float(form))
            except ValueError:
                continue
    return found


def on_lines(curve, content):
    """Tell whether each observation is a step and a loss of one line of the file."""
    lines = [floats(line) for line in re.split(r"[\r\n]+|(?<=\})", text_of(content))]
    pairs = zip(curve.steps.tolist(), curve.loss.tolist(), strict=True)
    return all(any({float(step), loss} <= line for line in lines) for step, loss in pairs)


def plan_file(content):
    path = FOLDER / "given.csv"
    path.write_bytes(content)
    schedule = from_csv(path)
    rows = [row for row in csv.reader(io.StringIO(text_of(content)), skipinitialspace=True) if row]
    names = [name.strip() for name in rows[0]]
    step, rate = names.index("step"), names.index("lr")
    first = float(rows[1][step])
    return all(
        np.isclose(schedule.lr[int(float(row[step]) - first)], float(row[rate]), rtol=1e-12, atol=0) for row in rows[1:]
    )


def log(content):
    path = FOLDER / "given.log"
    path.write_bytes(content)
    curves = bl.read_logs(path, schedule="constant(peak_lr=1e-3, total_steps=2000000)", allow_late_start=True)
    return all(on_lines(curve, content) for curve in curves)


def manifest(content):
    path = FOLDER / "given.csv"
    path.write_bytes(content)
    curves = bl.read_curves(path, allow_late_start=True)
    text, rows = text_of(content), (FOLDER / "a.csv").read_bytes()
    return all(curve.name in text and on_lines(curve, rows) for curve in curves)


def edited(edit):
    """The bytes of the posterior file after an edit, and whether somebody sealed them."""
    how, place, what = edit
    whole = POSTERIOR.read_bytes()
    if how in ("bytes", "cut"):
        at = int(place * (len(whole) - 1))
        return (whole[:at] + what + whole[at + len(what) :] if how == "bytes" else whole[:at]), False
    path = FOLDER / "edited.nc"
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        if how == "value":
            values = file[place][...]
            text = values.dtype.kind == "O"
            values.reshape(-1)[0] = (
                what if text else np.array(float(what) if what[0] != "x" else 7).astype(values.dtype)
            )
            file[place][...] = values
        elif how == "remove":
            for name in ["posterior/chain", "posterior/draw"] if place == "posterior" else []:
                del file[name]
            del file[place]
        else:
            file.attrs[how] = what.replace("SETTINGS", file.attrs["settings"]).replace("MODEL", file.attrs["model"])
    return sealed(path.read_bytes()), True


def posterior_file(edit):
    content, was_sealed = edited(edit)
    path = FOLDER / "given.nc"
    path.write_bytes(content)
    posterior = load_posterior(path)
    band = bl.predict(posterior, parse_schedule("constant(peak_lr=1e-3, total_steps=1000)"), seed=0).band()
    if was_sealed:
        # somebody's other numbers are theirs, but they are numbers
        return bool(np.isfinite(band[["lower", "median", "upper"]].to_numpy()).all())
    return band.equals(REFERENCE)


def itself(what):
    """Do what must not happen, for the test of this process."""
    match what:
        case "code":
            os.system("true")
        case "writing":
            Path("elsewhere").write_text("")
        case "error":
            raise KeyError("x")
        case "long line":
            raise ValueError("x" * 10**6)
        case "memory":
            np.ones(2 * MEMORY // 8)
        case "endless":
            while True:
                pass
        case "waiting":
            time.sleep(600)
        case "death":
            os.abort()
    return what == "right answer"


ASK = {
    "test of the worker": itself,
    "query": query,
    "schedule spec": spec,
    "family of schedules": family,
    "prior": prior,
    "schedule file": plan_file,
    "log": log,
    "manifest": manifest,
    "posterior file": posterior_file,
}


def answer(kind, payload):
    """Return the outcome of one input, and what was said."""
    # what the last input left in cycles is not this one's
    gc.collect()
    seen.clear()
    said = ""
    try:
        outcome = "right" if ASK[kind](payload) else "silent"
    except BayeslrError as error:
        said = str(error)
        clear = said.isprintable() and 0 < len(said) <= 500
        outcome = "line" if clear else "traceback"
    except MemoryError as error:
        outcome, said = "memory", repr(error)
    except Exception as error:  # a class that nobody expects is what is looked for
        outcome, said = "traceback", repr(error)[:300]
    if seen or Path("pwned").exists():
        outcome, said = "code", f"{seen}"
    return {"outcome": outcome, "said": said}


def main():
    """Answer the inputs on stdin."""
    global FOLDER, POSTERIOR, REFERENCE
    POSTERIOR = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as name:
        FOLDER = Path(name).resolve()
        os.chdir(FOLDER)
        (FOLDER / "a.csv").write_text(log_text())
        (FOLDER / "plan.csv").write_text(PLAN)
        (FOLDER / "runs.csv").write_text(MANIFEST)
        os.mkfifo(FOLDER / "pipe.csv")
        warnings.simplefilter("ignore")
        if POSTERIOR is not None:
            plan = parse_schedule("constant(peak_lr=1e-3, total_steps=1000)")
            REFERENCE = bl.predict(load_posterior(POSTERIOR), plan, seed=0).band()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
        gc.freeze()
        sys.addaudithook(watch)
        print("ready", flush=True)
        for line in sys.stdin:
            task = json.loads(line)
            payload = task["payload"]
            if isinstance(payload, dict):
                payload = base64.b64decode(payload["bytes"])
            elif isinstance(payload, list):
                payload = [base64.b64decode(p["bytes"]) if isinstance(p, dict) else p for p in payload]
            print(json.dumps(answer(task["kind"], payload)), flush=True)


if __name__ == "__main__":
    main()
