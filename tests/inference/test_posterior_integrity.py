"""A posterior file proves itself: no damage is read, and what somebody made on purpose is refused in one line."""

import json
import os
import resource
import struct
from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray as xr

from bayeslr.cli import main
from bayeslr.errors import PosteriorError
from bayeslr.inference import load_posterior
from bayeslr.inference.integrity import require_seal, require_structure, sealed


@pytest.fixture(scope="module")
def saved(small_posterior, tmp_path_factory):
    few = small_posterior.tree.sel(draw=slice(0, 99))
    return replace(small_posterior, tree=few).save(tmp_path_factory.mktemp("posterior") / "p.nc")


def refusal(path):
    with pytest.raises(PosteriorError) as caught:
        load_posterior(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) <= 500
    assert message.isprintable()
    return message


def test_other_programs_read_the_file(saved):
    with xr.open_datatree(saved) as tree:
        assert {"posterior", "observed_data"} <= set(tree.children)
    with h5py.File(saved) as file:
        assert file["posterior/alpha"].shape == (2, 100, 1)


def test_any_damage_is_found(saved, tmp_path):
    """A byte changed, removed or added anywhere; HDF5 itself reads on after most of them."""
    whole, rng, path = saved.read_bytes(), np.random.default_rng(0), tmp_path / "damaged.nc"
    places = [0, 8, len(whole) - 1, len(whole) - 50, *rng.integers(0, len(whole), 300)]
    for place in places:
        flipped = bytes([whole[place] ^ (1 << int(rng.integers(8)))])
        damaged = [
            whole[:place] + flipped + whole[place + 1 :],
            whole[:place] + whole[place + 1 :],
            whole[:place] + b"\0" + whole[place:],
            whole[:place],
        ]
        path.write_bytes(damaged[int(rng.integers(4))])
        with pytest.raises(PosteriorError, match=r"checksum|netCDF"):
            require_seal(path)
    assert "checksum" in refusal(path)


def hostile(saved, folder, change):
    path = folder / "hostile.nc"
    path.write_bytes(saved.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    path.write_bytes(sealed(path.read_bytes()))
    return path


def outside(file):
    file["posterior/alpha_"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file):
    file["posterior/alpha_"] = h5py.SoftLink("/posterior/alpha")


def circle(file):
    file["posterior/again"] = file["/"]


def deep(file):
    group = file
    for _ in range(300):
        group = group.create_group("g")


def crowd(file):
    for k in range(6000):
        file.create_group(f"g{k}")


def raw_file(file):
    file.create_dataset("posterior/x", (4,), "i1", external=[("/etc/hostname", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(3,))
    file["posterior"].create_virtual_dataset("x", layout)


def endless(file):
    file.create_dataset("posterior/x", (10**13,), "f8")


def bomb(file):
    file.create_dataset("posterior/x", (10**10,), "f8", chunks=(10**7,), compression="gzip")


def many(file):
    for k in range(40):
        file.create_dataset(f"posterior/x{k}", (10**7,), "f8")


def pointers(file):
    file.create_dataset("posterior/x", (3,), h5py.vlen_dtype(np.float64))


def records(file):
    file.create_dataset("posterior/x", (3,), np.dtype([("a", "f8"), ("b", "i4")]))


def packed(file):
    file.create_dataset("posterior/x", (300,), "f8", chunks=(100,), compression="lzf")


def named_type(file):
    file["posterior/x"] = np.dtype("f8")


def references(file):
    file["posterior"].attrs["x"] = file["posterior"].ref


def widened(file):
    """Bytes that a scale turns into numbers of eight."""
    file.create_dataset("posterior/x", (2**28,), "i1", chunks=(2**20,), compression="gzip")
    file["posterior/x"].attrs["scale_factor"] = 1.0


def rest_of_a_label(file):
    """One text of many is long, and all take its length."""
    file.create_dataset("posterior/x", data=["x" * 2_000_000, *["y"] * 2000])


def texts_in_parts(file):
    file.create_dataset("posterior/x", (4,), h5py.string_dtype(), chunks=(1,))


def crowd_of_texts(file):
    file.create_dataset("posterior/x", (2**20,), h5py.string_dtype())


def bytes_for_texts(file):
    file["posterior/x"] = np.array([b"x"])


def long_attributes(file):
    for k in range(20):
        file["posterior"].attrs[f"x{k}"] = "x" * 2**20


def crowd_of_attributes(file):
    file.create_group("posterior/x", track_order=True)
    for k in range(11_000):
        file["posterior/x"].attrs[f"x{k}"] = k


def list_of_texts(file):
    file["posterior"].attrs.create("x", ["x"] * 3000)


def untied(file):
    file["posterior/alpha"].attrs["DIMENSION_LIST"] = "x"


@pytest.mark.parametrize(
    "change",
    [
        *(outside, soft, circle, deep, crowd, raw_file, virtual, endless, bomb, many),
        *(pointers, records, packed, named_type, references, widened, rest_of_a_label, texts_in_parts),
        *(crowd_of_texts, bytes_for_texts, long_attributes, crowd_of_attributes, list_of_texts, untied),
    ],
)
def test_a_hostile_structure_is_refused_before_it_is_read(saved, tmp_path, change):
    path = hostile(saved, tmp_path, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PosteriorError, match="hostile: "):
        require_structure(path)
    refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_one_long_text_is_not_read_thousands_of_times(saved, tmp_path):
    """A file keeps a text once; an array of references to it is small there, and not in memory."""
    long, count = 4_000_000, 3000

    def refer(file):
        file.create_dataset("curves/x", data=["x" * long, *["y"] * (count - 1)])

    path = hostile(saved, tmp_path, refer)
    content = path.read_bytes()
    # a reference is the length of its text, and where it is
    start = next(
        place
        for place in range(len(content))
        if content.startswith(struct.pack("<I", long), place) and content.startswith(struct.pack("<I", 1), place + 16)
    )
    head, reference = content[:start], content[start : start + 16]
    path.write_bytes(sealed(head + count * reference + content[start + 16 * count :]))
    with h5py.File(path) as file:
        assert len(file["curves/x"][count - 1]) == long
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "with /curves/x its arrays have" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def put(name, place, value):
    def change(file):
        file[name][place] = value

    return change


def forget(*names):
    def change(file):
        for name in names:
            del file[name]

    return change


def with_setting(name, value):
    def change(file):
        settings = json.loads(file.attrs["settings"])
        settings[name] = value
        file.attrs["settings"] = json.dumps(settings)

    return change


def without_setting(name):
    def change(file):
        settings = json.loads(file.attrs["settings"])
        del settings[name]
        file.attrs["settings"] = json.dumps(settings)

    return change


def attribute(name, text):
    def change(file):
        file.attrs[name] = text

    return change


def other_type(file):
    values = file["posterior/alpha"][:].astype("S")
    del file["posterior/alpha"]
    file["posterior/alpha"] = values


def with_scale(name, value):
    def change(file):
        settings = json.loads(file.attrs["settings"])
        settings["scale"][name] = value
        file.attrs["settings"] = json.dumps(settings)

    return change


def backwards(name):
    def change(file):
        file[name][...] = file[name][...][::-1]

    return change


def twice(file):
    for name in ("run", "step", "loss"):
        file[f"observed_data/{name}"][1] = file[f"observed_data/{name}"][0]


def worthless(file):
    """Losses below zero, with the checksum that they should have."""
    file["curves/loss"][...] = -file["curves/loss"][...]
    file.attrs["data_sha256"] = "0"


SCALE = {"area": 1.0, "rate": 1e-3, "loss": 2.0, "memory": 50.0}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("posterior/alpha", (0, 0, 0), np.nan), "posterior/alpha has values that are not finite"),
        (put("posterior/alpha", (0, 0, 0), np.inf), "posterior/alpha has values that are not finite"),
        (forget("posterior/alpha"), "draws of alpha are missing"),
        (forget("posterior/draw", "posterior/chain", "posterior"), "no group posterior"),
        (forget("sample_stats"), "no group sample_stats"),
        (other_type, "posterior/alpha"),
        *((without_setting(name), f"setting {name} is nothing") for name in ("method", "seed", "scale", "num_chains")),
        (with_setting("scale", SCALE | {"area": -1.0}), "setting scale"),
        (with_setting("scale", SCALE | {"area": 10**400}), "setting scale"),
        (with_setting("scale", SCALE | {"other": 1.0}), "setting scale"),
        *((with_scale(name, []), f"scale {name} is []; allowed: a number") for name in SCALE),
        *((with_scale(name, [1.0, 2.0]), f"scale {name} is [1.0, 2.0]") for name in (*SCALE, "areas", "level_rates")),
        *((with_scale(name, 0), f"scale {name} is 0; allowed: a number 1e-30 to 1e+30") for name in SCALE),
        (with_scale("areas", 1.0), "scale areas is 1.0; allowed: a list of 1 numbers"),
        (with_scale("jitter", "x"), "scale jitter is 'x'; allowed: a number from 0 on"),
        *((with_setting("search", value), "setting search") for value in ([1], {"gradient": "x", "others": []}, 3)),
        (with_setting("search", {"gradient": 0.0, "others": [{"below": 1.0}]}), "setting search"),
        (with_setting("search", {"gradient": 10**400, "others": []}), "setting search"),
        (with_setting("method", "laplace"), "draws by laplace without a number each of log_ratio"),
        (forget("sample_stats/diverging"), "draws by nuts without a number each of diverging"),
        (with_setting("method", ["nuts"]), "setting method"),
        (with_setting("max_points_per_run", 1), "setting max_points_per_run"),
        (with_setting("seed", 10**250), "setting seed"),
        (with_setting("method", "magic"), "setting method"),
        (with_setting("num_samples", 1e9), "setting num_samples"),
        (with_setting("health", "x" * 10**6), "setting health"),
        (
            with_setting("health", ["x" * 10**6]),
            "longest of 1000000 characters; allowed: up to 100 lines of up to 100000",
        ),
        (with_setting("health", ["x"] * 101), "101 lines"),
        (attribute("settings", "[" * 100_000), "not JSON"),
        (attribute("settings", "9" * 5000), "not JSON"),
        (attribute("settings", "[]"), "its settings are a list"),
        (attribute("model", "[" * 100_000), "not JSON"),
        (attribute("model", "[1]"), "damaged"),
        (attribute("model", 3), "not a text"),
        (put("curves/updates", 0, 10**15), "damaged"),
        (put("curves/observations", 0, -5), "damaged"),
        (put("curves/metadata", 0, "[" * 100_000), "damaged"),
        (put("curves/curve", 0, "somebody else"), "checksum"),
        (put("posterior/size", 0, "huge"), "sizes of its draws"),
        (put("observed_data/run", 0, "nobody"), "no curve of the run nobody"),
        *((put("observed_data/loss", 5, value), "observed_data has the loss") for value in (np.nan, -1.0, 1e300, 3.0)),
        *((put("observed_data/step", 5, value), f"at step {value} of the run") for value in (-5, 10**15)),
        (twice, "observed_data has the loss"),
        (forget("observed_data/step"), "does not have a run, a step and a loss"),
        (backwards("effects/run"), "effects is of the runs drops, cosine, constant, ..., in this order; allowed: "),
        (put("effects/size", 0, "9M"), "effects is of the sizes 9M"),
        (worthless, "allowed: positive losses"),
    ],
)
def test_hostile_contents_are_refused(saved, tmp_path, change, says):
    assert says in refusal(hostile(saved, tmp_path, change))


def test_only_a_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")
    refusal(tmp_path / "pipe.nc")
    huge = tmp_path / "huge.nc"
    with huge.open("wb") as file:
        file.truncate(2**31)
    refusal(huge)


def test_the_command_line_says_it_too(saved, tmp_path, capsys):
    path = tmp_path / "p.nc"
    path.write_bytes(saved.read_bytes()[:-200] + saved.read_bytes()[-199:])
    assert main(["summary", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {path}: ")
    assert err.count("\n") == 1


def test_lines_of_a_file_are_shown_as_one_printable_line_each(saved, tmp_path, capsys):
    """What a terminal would take for a command, or for a line of the program's own, is written out."""
    change = with_setting("health", ["\x1b]0;title\x07\x1b[31mred\nhealth: PASS", "x" * 100_000])
    path = hostile(saved, tmp_path, change)
    for text in load_posterior(path).settings["health"]:
        assert text.isprintable()
        assert len(text) <= 500
    for form in ("table", "csv"):
        assert main(["summary", str(path), "--format", form]) == 0
        told = "".join(capsys.readouterr())
        assert "\x1b" not in told
        assert "warning: \\x1b]0;title\\x07\\x1b[31mred health: PASS" in told


def test_names_of_a_file_are_printed_and_no_more(saved, tmp_path, capsys):
    def name(file):
        file.copy("sampled/discrepancy_offset", "sampled/discrepancy_\x1b[31m")

    path = hostile(saved, tmp_path, name)
    for form in ("table", "csv", "json"):
        assert main(["summary", str(path), "--all", "--format", form]) == 0
        told = capsys.readouterr().out
        assert "\x1b" not in told
        assert "discrepancy_\\" in told
