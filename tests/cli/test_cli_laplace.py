"""A fit by Laplace's approximation on the command line: each command says what it is."""

import json

WSD = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)"


def test_every_command_says_what_it_is(run, manifest, tmp_path):
    target = tmp_path / "quick.nc"
    where = ("--where", "split == 'train'")
    code, out, err = run("fit", manifest, *where, "--method", "laplace", "-o", target, "--format", "json")
    assert code == 0, err
    result = json.loads(out)
    assert result["method"] == "laplace"
    assert result["health"]["checks"][0]["name"] == "accuracy of the Laplace approximation"
    assert all(row["r_hat"] is None for row in result["parameters"].values())
    assert "Laplace approximation: draws of the Gaussian" in run("summary", target)[1]
    assert "Laplace approximation" in run("summary", target, "--format", "json")[2]
    assert "accuracy of" in run("check", target)[1]
    assert "warning: draws of a Laplace approximation" in run("predict", target, "--schedule", WSD)[1]
    compared = ("--schedule", f"one={WSD}", "--schedule", f"two={WSD.replace('500', '900')}", "--format", "json")
    assert any("Laplace" in text for text in json.loads(run("compare", target, *compared)[1])["warnings"])
