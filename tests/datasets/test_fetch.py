"""Public sets, served by a local HTTP server from the files that came with the development data."""

import functools
import hashlib
import http.server
import shutil
import threading
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from bayeslr.curves import CurveSet
from bayeslr.datasets import fetch
from bayeslr.datasets.multi_power_law import MULTI_POWER_LAW
from bayeslr.errors import BayeslrError
from bayeslr.logs import read_curves
from bayeslr.schedules import parse_schedule

SIZES = ["25M", "100M"]  # the development data have no 400M


class Quiet(http.server.SimpleHTTPRequestHandler):
    requested: ClassVar[list[str]] = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.requested.append(self.path)
        super().do_GET()


@pytest.fixture
def published(data_dir):
    """The published curves, as they came with the development data."""
    return data_dir / "multi-power-law"


@pytest.fixture
def site(published, tmp_path):
    """A folder laid out like the source, and its address."""
    folder = tmp_path / "site"
    for size in SIZES:
        shutil.copytree(published / size, folder / "loss_curve_repo" / f"csv_{size.removesuffix('M')}")
    shutil.copy(published / "LICENSE", folder)
    Quiet.requested.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_checksums_are_those_of_the_list(published):
    listed = dict(reversed(line.split()) for line in (published / "SHA256SUMS").read_text().splitlines())
    assert dict([MULTI_POWER_LAW.licence, *((run.file, run.sha256) for run in MULTI_POWER_LAW.runs)]) == listed


def test_schedules_are_those_of_the_development_manifest(published):
    table = pd.read_csv(published / "runs.csv", index_col="run")
    ours = {run.run: run for run in MULTI_POWER_LAW.runs if run.size in SIZES}
    assert set(ours) == set(table.index)
    for name, run in ours.items():
        row = table.loc[name]
        assert (run.size, run.params, run.split) == (row["size"], row["params"], row["split"])
        assert parse_schedule(run.schedule) == parse_schedule(row["schedule"])
    by_size = [
        [(run.run.split("/")[1], run.schedule, run.split) for run in MULTI_POWER_LAW.runs if run.size == size]
        for size in ("25M", "100M", "400M")
    ]
    assert by_size[0] == by_size[1] == by_size[2]


def test_fetched_curves_are_the_published_ones(published, site, tmp_path):
    _, address = site
    manifest = fetch("multi_power_law", cache_dir=tmp_path / "cache", base_url=address, sizes=SIZES)
    assert manifest == tmp_path / "cache" / "multi_power_law" / "runs.csv"
    assert hashlib.sha256((manifest.parent / "LICENSE").read_bytes()).hexdigest() == MULTI_POWER_LAW.licence[1]
    curves = read_curves(manifest)
    assert isinstance(curves, CurveSet)
    assert len(curves) == 18
    for curve in curves:
        table = pd.read_csv(published / f"{curve.name}.csv")
        np.testing.assert_array_equal(curve.steps, table["step"])
        np.testing.assert_array_equal(curve.loss, table["loss"])

    # The second time nothing is downloaded, and the answer is the same.
    before, requests = manifest.read_bytes(), len(Quiet.requested)
    assert requests == 19
    assert fetch("multi_power_law", cache_dir=tmp_path / "cache", base_url=address, sizes=SIZES) == manifest
    assert (manifest.read_bytes(), len(Quiet.requested)) == (before, requests)


def test_a_corrupted_file_is_refused(site, tmp_path):
    folder, address = site
    victim = folder / "loss_curve_repo" / "csv_25" / "cosine_24000.csv"
    victim.write_bytes(victim.read_bytes().replace(b"3.30", b"3.29", 1))
    with pytest.raises(BayeslrError, match=r"csv_25/cosine_24000\.csv has not the published SHA-256") as caught:
        fetch("multi_power_law", cache_dir=tmp_path / "cache", base_url=address, sizes=["25M"])
    assert "\n" not in str(caught.value)
    kept = tmp_path / "cache" / "multi_power_law"
    assert not (kept / "runs.csv").exists()
    assert not list(kept.rglob("cosine_24000.csv"))


def test_a_file_spoilt_on_disk_is_replaced(site, tmp_path):
    _, address = site
    manifest = fetch("multi_power_law", cache_dir=tmp_path, base_url=address, sizes=["25M"])
    kept = manifest.parent / "loss_curve_repo" / "csv_25" / "constant_24000.csv"
    good = kept.read_bytes()
    kept.write_bytes(good[:-20])
    fetch("multi_power_law", cache_dir=tmp_path, base_url=address, sizes=["25M"])
    assert kept.read_bytes() == good


def test_a_missing_file_says_what_to_do(site, tmp_path):
    _, address = site
    with pytest.raises(BayeslrError, match=r"cannot get .*csv_400/constant_24000\.csv \(HTTPError\).* base_url="):
        fetch("multi_power_law", cache_dir=tmp_path / "cache", base_url=address, sizes=["400M"])


def test_offline_says_what_to_do(tmp_path):
    with pytest.raises(BayeslrError) as caught:
        fetch("multi_power_law", cache_dir=tmp_path, base_url="http://127.0.0.1:9")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("connect to the network", "base_url=", "MultiPowerLaw at commit 8da9f19", str(tmp_path)):
        assert part in message


@pytest.mark.parametrize("address", ["nowhere", "ftp://127.0.0.1/x", "http://"])
def test_an_address_that_is_none_is_not_called_a_wrong_checksum(tmp_path, address):
    with pytest.raises(BayeslrError, match="cannot get"):
        fetch("multi_power_law", cache_dir=tmp_path, base_url=address)


@pytest.mark.parametrize("sizes", [[], ["25M", "1B"]])
def test_unknown_sizes_are_refused(tmp_path, sizes):
    with pytest.raises(BayeslrError, match="allowed: one or more of 25M, 100M, 400M"):
        fetch("multi_power_law", cache_dir=tmp_path, sizes=sizes)


def test_unknown_names_are_refused():
    with pytest.raises(BayeslrError, match="allowed: multi_power_law"):
        fetch("c4")
    with pytest.raises(BayeslrError, match="use load"):
        fetch("tiny_lm")
