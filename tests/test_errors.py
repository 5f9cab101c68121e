"""Messages of errors and warnings: one printable line, whatever they quote."""

import pickle
import time

import pytest

from bayeslr.errors import BayeslrError, DataWarning, ScheduleError, command_words, one_line, printable, python_words


@pytest.mark.parametrize("kind", [BayeslrError, ScheduleError, DataWarning])
def test_a_message_is_one_short_printable_line(kind):
    text = "runs.csv: found " + "x" * 100_000 + "\n\x1b[31m\ud800; allowed: a name"
    message = str(kind(text))
    assert len(message) <= 460
    assert message.startswith("runs.csv: found xxx")
    assert message.endswith("xxx \\x1b[31m\\ud800; allowed: a name")
    assert message.isprintable()
    assert len(one_line("\x00" * 460)) <= 460


def test_an_ordinary_message_is_left_alone():
    assert str(ScheduleError("a: 'b' – é; allowed: c")) == "a: 'b' – é; allowed: c"
    copy = pickle.loads(pickle.dumps(ScheduleError("a")))
    assert type(copy) is ScheduleError
    assert str(copy) == "a"


def test_what_cannot_be_printed_is_written_out():
    assert printable("a – é") == "a – é"
    assert printable("\x1b[31m\n\u202e\ud800") == "\\x1b[31m\\n\\u202e\\ud800"


def test_a_message_has_the_words_of_who_reads_it():
    text = "raise target_accept_prob (--target-accept-prob) to 0.95, or force (--force)"
    assert python_words(text) == "raise target_accept_prob to 0.95, or force"
    assert command_words(text) == "raise --target-accept-prob to 0.95, or --force"


@pytest.mark.parametrize("begin", ["", "x (--", "(--"])
@pytest.mark.parametrize("part", ["x", "x (--y", " (--"])
def test_long_texts_take_no_time(begin, part):
    text = begin + part * 10**5
    started = time.process_time()
    assert command_words(text) == python_words(text) == text
    assert time.process_time() - started < 2.0
