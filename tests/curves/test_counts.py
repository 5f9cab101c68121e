"""Numbers of parameters as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslr.curves.counts import count_label, params_in_label, parse_count, rounded_range


@pytest.mark.parametrize(
    ("text", "count"), [("25M", 25e6), ("1.3B", 1.3e9), ("2.5e7", 2.5e7), ("25_000_000", 25e6), ("450k", 450e3)]
)
def test_counts(text, count):
    assert parse_count(text) == pytest.approx(count)


@pytest.mark.parametrize("text", ["", "large", "L12H12D768", "-1B", "0", "1e999", "1.2.3B"])
def test_what_is_no_count(text):
    assert parse_count(text) is None
    assert rounded_range(text) is None


def test_a_plain_number_is_no_label():
    assert params_in_label("25000000") is None
    assert rounded_range("1e9") is None


@pytest.mark.parametrize(
    ("label", "low", "high"),
    [
        ("1B", 0.95e9, 1.5e9),
        ("7B", 6.5e9, 7.5e9),
        ("10B", 9.5e9, 10.5e9),
        ("1.3B", 1.25e9, 1.35e9),
        ("0.1B", 0.095e9, 0.15e9),
        ("190M", 189.5e6, 190.5e6),
        ("1e2M", 95e6, 150e6),
    ],
)
def test_what_rounds_to_a_label(label, low, high):
    assert rounded_range(label) == pytest.approx((low, high))


@given(st.integers(1, 999), st.integers(0, 2), st.sampled_from("KMB"))
def test_a_number_is_in_the_range_of_its_own_label(number, digits, suffix):
    label = f"{number / 10**digits:.{digits}f}{suffix}"
    low, high = rounded_range(label)
    assert low < params_in_label(label) < high


@pytest.mark.parametrize(
    ("count", "label"),
    [
        (512, "512"),
        (80e3, "80k"),
        (999_999, "1M"),
        (25e6, "25M"),
        (12_345_678, "12.35M"),
        (1.3e9, "1.3B"),
        (2e12, "2T"),
    ],
)
def test_a_label_is_read_as_the_number_that_it_was_made_of(count, label):
    assert count_label(count) == label
    assert parse_count(label) == pytest.approx(count, rel=1e-3)
