"""64 bits for the whole process, and a line where that is news to somebody."""

import logging
import os
import subprocess
import sys

import jax
import pytest

from bayeslr.laws.precision import compute_in_64_bits


@pytest.mark.parametrize(("before", "in_use", "lines"), [(False, True, 1), (False, False, 0), (True, True, 0)])
def test_it_is_said_once_where_jax_was_in_use_with_32_bits(before, in_use, lines, caplog):
    try:
        jax.config.update("jax_enable_x64", before)
        with caplog.at_level(logging.WARNING, "bayeslr"):
            compute_in_64_bits(in_use=in_use)
            compute_in_64_bits(in_use=in_use)
        assert jax.numpy.ones(1).dtype == "float64"
    finally:
        jax.config.update("jax_enable_x64", True)
    assert len(caplog.messages) == lines
    assert all("JAX_ENABLE_X64=1" in text and "\n" not in text for text in caplog.messages)


@pytest.mark.parametrize(
    ("room", "before", "lines"), [("model", "", 0), ("model", "import jax", 1), ("inference", "", 0)]
)
def test_whichever_room_is_entered_first_jax_was_there_only_if_others_brought_it(room, before, lines):
    code = f"{before}\nimport bayeslr.{room}"
    # whatever this process has been told
    told = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=told
    )
    assert done.stderr.count("switched jax_enable_x64 on") == lines


@pytest.mark.parametrize(("first", "told"), [("jax", True), ("arviz", False), ("bayeslr", False)])
def test_arviz_before_is_no_other_code_with_jax(first, told):
    code = f"import {first}; import bayeslr as bl; bl.fit"
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    assert ("64 bits" in done.stderr) == told
