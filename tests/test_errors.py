"""Messages of errors and warnings: one printable line, whatever they quote."""

import pickle

import pytest

from bayeslr.errors import BayeslrError, DataWarning, ScheduleError, one_line


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
