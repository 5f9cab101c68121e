"""Lines and tables of further trainers and programs, each read from its documented form."""

import json

import numpy as np
import pandas as pd
import pytest
from smooth_run import LOSS, LR, STEPS, loss_at, only, rate_at, read

from bayeslr.errors import LogError
from bayeslr.logs.draft import draft
from bayeslr.logs.formats import open_log
from bayeslr.logs.model_sizes import sizes_in_name, unclear_size
from bayeslr.logs.rate_names import rate_columns
from bayeslr.logs.sources import ColumnNames
from bayeslr.logs.tidy import tidy

EPOCH = 500


def in_epochs(form, first):
    """A line with the epoch, counted from ``first``, and its batch."""

    def line(s):
        epoch, batch = divmod(s - 1, EPOCH)
        return form.format(epoch=epoch + first, batch=batch + 1, length=EPOCH, loss=loss_at(s), lr=rate_at(s))

    return line


def pairs(form):
    return lambda s: form.format(s=s, loss=loss_at(s), lr=rate_at(s))


LINES = {
    "the word language model of PyTorch": in_epochs(
        "| epoch   {epoch} | {batch:5d}/  {length} batches | lr {lr:.9e} | ms/batch 12.34 | loss {loss:.9f} | ppl 9.87",
        1,
    ),
    "ImageNet of PyTorch": in_epochs(
        "Epoch: [{epoch}][{batch:4d}/{length}]\tTime  0.3 ( 0.4)\tLoss {loss:.9e} (7.0e+00)\tlr {lr:.9e}", 0
    ),
    "torchvision": in_epochs(
        "Epoch: [{epoch}]  [{batch:4d}/{length}]  eta: 0:10:00  lr: {lr:.9f}  loss: {loss:.9f} (9.5)  time: 0.12", 0
    ),
    "timm": in_epochs(
        "Train: {epoch} [{batch:>4d}/{length} ( 12%)]  Loss: {loss:.9f} (9.4)  Time: 0.301s,  850.1/s  LR: {lr:.9e}", 0
    ),
    "Swin": in_epochs("Train: [{epoch}/300][{batch}/{length}]\teta 0:01:00 lr {lr:.9f}\tloss {loss:.9f} (9.4)", 0),
    "MMDetection": in_epochs("mmdet - INFO - Epoch [{epoch}][{batch}/{length}]\tlr: {lr:.9e}, loss: {loss:.9f}", 1),
    "Marian": pairs(
        "[2024-05-01 12:00:00] Ep. 1 : Up. {s} : Sen. 25,600 : Cost {loss:.9f} * 1,049 @ 12,345 after 52,000 : "
        "Time 10.12s : gNorm 0.61 : L.r. {lr:.9e}"
    ),
    "llama2.c": pairs("{s} | loss {loss:.9f} | lr {lr:.9e} | 250.12ms | mfu 30.12%"),
    "CLU": pairs(
        "I0501 12:00:00.1 140 logging_writer.py:48] [{s}] accuracy=0.3, learning_rate={lr:.9g}, loss={loss:.9g}"
    ),
    "CLU alone": pairs("[{s}] learning_rate={lr:.9g}, loss={loss:.9g}"),
    "T5X": pairs("I0501 12:00:00.1 140 train.py:48] Step {s}: loss={loss:.9g}, learning_rate={lr:.9g}"),
    "pprint": pairs("{{'accuracy': 0.3,\n 'learning_rate': {lr:.9g},\n 'loss': {loss:.9g},\n 'step': {s}}}"),
    "a dict with train_step": pairs("{{'train_loss': {loss:.9g}, 'lr': {lr:.9g}, 'train_step': {s}}}"),
    "one word": pairs("Step={s}, Loss={loss:.9e}, LearningRate={lr:.9e}"),
    "lrate": pairs("step {s}: loss {loss:.9f} lrate {lr:.9e}"),
    "equal rates": pairs("step {s} loss {loss:.9f} lr [{lr:.9e}, {lr:.9e}]"),
    "one rate in brackets": pairs("step {s} | loss {loss:.9f} | lr [{lr:.9e}]"),
    "a scale beside": pairs("step {s} | loss {loss:.9f} | lr: {lr:.9e} | lr scale 1.0"),
    "a bar with a large letter": pairs(
        "Epoch 0/1:  5%|▌ | {s}/2000 [00:12<03:45, 17.1it/s, Loss={loss:.9f}, LR={lr:.9f}]"
    ),
}


def logged(tmp_path, line, between=lambda s: ""):
    path = tmp_path / "run.log"
    path.write_text("starting\n" + "".join(f"{line(s)}\n{between(s)}" for s in STEPS))
    return tidy(open_log(path))


def assert_read(log, steps=STEPS, loss=LOSS, rates=LR):
    assert log.steps.tolist() == list(steps)
    np.testing.assert_allclose(log.loss, loss, rtol=1e-7)
    np.testing.assert_allclose(log.rates, rates, rtol=1e-4)


@pytest.mark.parametrize("trainer", LINES)
def test_lines_of_trainers(tmp_path, trainer):
    assert_read(logged(tmp_path, LINES[trainer]))


def test_bars_of_an_evaluation_are_no_training(tmp_path):
    def bars(s):
        return (
            "".join(f"Test:  [{k:3d}/97]  eta: 0:00:10  loss: 9.1 (9.1)\n" for k in (0, 50, 96)) if s % 500 == 0 else ""
        )

    log = logged(tmp_path, LINES["torchvision"], bars)
    assert log.kind == "plain"
    assert_read(log)


def test_the_validation_of_an_epoch_belongs_to_its_end(tmp_path):
    line = in_epochs(
        "| epoch {epoch} | {batch:5d}/ {length} batches | lr {lr:.9e} | ms/batch 1.2 | loss {loss:.9f} |", 1
    )

    def end(s):
        said = f"| end of epoch {s // EPOCH + 1} | time: 12.3s | valid loss {loss_at(s + 100):.9f} | valid ppl 9.9\n"
        return said if s % EPOCH == 400 else ""

    path = tmp_path / "run.log"
    path.write_text("".join(f"{line(s)}\n{end(s)}" for s in STEPS if s % EPOCH))
    log = tidy(open_log(path))
    assert log.kind == "validation"
    assert log.steps.tolist() == [500, 1000, 1500, 2000]
    np.testing.assert_allclose(log.loss, [loss_at(s) for s in log.steps], rtol=1e-7)


def test_epochs_of_different_lengths_are_refused(tmp_path):
    path = tmp_path / "run.log"
    line = LINES["torchvision"]
    path.write_text("".join(line(s).replace("/500]", "/500]" if s < 1000 else "/700]") + "\n" for s in STEPS))
    with pytest.raises(LogError, match="epochs of 500, 700 batches"):
        open_log(path)


@pytest.mark.parametrize("bar", ["[=====>...] - ETA: 12:34", "━━━━━━ 12s 3ms/step", "- 12s - 3ms/step"])
def test_bars_of_keras(tmp_path, bar):
    path = tmp_path / "run.log"
    path.write_text(
        "".join(
            f"{f'Epoch {s // EPOCH + 1}/4\n' if s % EPOCH == 100 else ''}"
            f"{(s - 1) % EPOCH + 1}/500 {bar} - loss: {loss_at(s):.9f} - lr: {rate_at(s):.9e}\n"
            for s in STEPS
        )
    )
    log = tidy(open_log(path))
    assert_read(log)
    assert any("mean of the training loss since the epoch began" in note for note in log.notes)


def test_rates_that_differ_between_groups_are_told(tmp_path):
    log = logged(tmp_path, lambda s: f"step {s} loss {loss_at(s):.9f} lr [{rate_at(s):.9e}, 1.0e-4]")
    assert_read(log)
    assert any("several columns may be the rate" in note for note in log.notes)


def test_samples_of_an_epoch_are_no_batches(tmp_path):
    path = tmp_path / "run.log"
    form = "INFO | Train Epoch: 0 [{:>7}/1024000 ({}%)] Data (t): 0.012 LR: 0.001 Loss: 3.5 (3.6)\n"
    path.write_text("".join(form.format(s * 256, s // 40) for s in STEPS))
    with pytest.raises(LogError):
        tidy(open_log(path))


@pytest.mark.parametrize(
    "name", ["lrate", "LearningRate", "learningrate", "LRs", "lr/embed", "lr/lm_head", "lr/no_decay"]
)
def test_names_of_rates(name):
    assert rate_columns(["step", name]) == [name]


@pytest.mark.parametrize(
    "name", ["lr_decay", "lr/decay", "lr_scale", "learning_rate_decay", "lr/weight_decay", "lr/norm"]
)
def test_settings_are_no_rates(name):
    assert rate_columns(["step", name]) == []


def test_the_groups_of_a_rate(tmp_path):
    path = tmp_path / "run.csv"
    rows = "".join(f"{s},{loss_at(s)},1e-4,{rate_at(s)},{rate_at(s) / 2}\n" for s in STEPS)
    path.write_text("step,loss,lr/embed,lr/hidden,lr/head\n" + rows)
    curve, notes = only(path)
    np.testing.assert_allclose(curve.schedule.lr[-1], LR[-1], rtol=0.05)
    assert any("'lr/hidden' was taken, not 'lr/embed'" in note for note in notes)


def test_the_command_line_names_its_own_option_in_a_draft(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss,lr\n" + "".join(f"{s},{loss_at(s)},{rate_at(s)}\n" for s in STEPS))
    late = "".join(f"{s},{loss_at(s) + 2},{rate_at(s)}\n" for s in STEPS if s > 1000)
    (tmp_path / "b.csv").write_text("step,loss,lr\n" + late)
    found = draft([tmp_path], folder=tmp_path, columns=ColumnNames())
    assert any("(--allow-late-start)" in text for text in found.checks)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-be-bom"])
def test_a_table_in_utf_32(tmp_path, encoding):
    text = "step,loss,lr\n" + "".join(f"{s},{loss_at(s)},{rate_at(s)}\n" for s in STEPS)
    content = text.encode("utf-32") if encoding == "utf-32" else b"\0\0\xfe\xff" + text.encode("utf-32-be")
    (tmp_path / "run.csv").write_bytes(content)
    assert_read(tidy(open_log(tmp_path / "run.csv")))
    rows = "".join(f'{{"step": {s}, "loss": {loss_at(s)}, "lr": {rate_at(s)}}}' + "\n" for s in STEPS)
    (tmp_path / "run.jsonl").write_bytes(rows.encode("utf-32"))
    assert_read(tidy(open_log(tmp_path / "run.jsonl")))


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_without_a_name_is_told(tmp_path, name):
    path = tmp_path / "run.csv"
    path.write_text(f"{name},loss,lr\n" + "".join(f"{s},{loss_at(s)},{rate_at(s)}\n" for s in STEPS))
    with pytest.raises(LogError, match="column 1 has no name: if it counts updates"):
        tidy(open_log(path))


ODD = {30: "OOM", 31: "#DIV/0!", 32: "****", 33: "skipped"}


@pytest.mark.parametrize("column", ["loss", "lr"])
@pytest.mark.parametrize("at", ODD)
def test_a_remark_among_numbers_is_left_out(tmp_path, column, at):
    path = tmp_path / "run.csv"
    rows = [{"step": s, "loss": loss_at(s), "lr": rate_at(s)} for s in range(20, 2001, 20)]
    rows[at][column] = ODD[at]
    pd.DataFrame(rows).to_csv(path, index=False)
    log = tidy(open_log(path))
    assert log.steps.size == 100 - (column == "loss")
    assert log.rates.size == 100 - (column == "lr")
    assert any(f"{column} is '{ODD[at]}' in line {at + 2}: left out" in note for note in log.notes)


@pytest.mark.parametrize("cell", ["<<<<<<< HEAD", "3.1 nats", "1e-3x", "0,003", "3.1%"])
def test_any_other_text_is_refused(tmp_path, cell):
    path = tmp_path / "run.csv"
    frame = pd.DataFrame({"step": STEPS, "loss": LOSS, "lr": LR}).astype(object)
    frame.loc[12, "loss"] = cell
    frame.to_csv(path, index=False)
    with pytest.raises(LogError, match="line 14: loss is '"):
        tidy(open_log(path))


def test_many_remarks_are_refused(tmp_path):
    path = tmp_path / "run.csv"
    frame = pd.DataFrame({"step": STEPS, "loss": LOSS, "lr": LR}).astype(object)
    frame.loc[12:14, "loss"] = "OOM"
    frame.to_csv(path, index=False)
    with pytest.raises(LogError, match="line 14: loss is 'OOM'; allowed: a number"):
        tidy(open_log(path))


def test_steps_with_their_total(tmp_path):
    path = tmp_path / "run.csv"
    pd.DataFrame({"step": [f"{s}/2000" for s in STEPS], "loss": LOSS, "lr": LR}).to_csv(path, index=False)
    assert_read(tidy(open_log(path)))
    text = path.read_text()
    path.write_text(text.replace("1500/2000", "1500/2500"))
    with pytest.raises(LogError, match="step is '1500/2500'"):
        tidy(open_log(path))
    path.write_text(text.replace(f",{LOSS[3]},", ",3/4,"))
    with pytest.raises(LogError, match="loss is '3/4'"):
        tidy(open_log(path))


def barred(rule, row):
    lines = [row("step", "loss", "lr"), rule, *(row(s, loss_at(s), rate_at(s)) for s in STEPS)]
    return "".join(f"{line}\n" for line in lines if line)


TABLES = {
    "Markdown": barred("|---|:---:|---|", lambda *cells: f"| {' | '.join(map(str, cells))} |"),
    "bars alone": barred("", lambda *cells: "|".join(map(str, cells))),
    "rules": barred("------+------+-----", lambda *cells: " | ".join(map(str, cells))),
    "a frame": "┏━━━┳━━━┳━━━┓\n" + barred("┡━━━╇━━━╇━━━┩", lambda *cells: f"│ {' │ '.join(map(str, cells))} │"),
}


@pytest.mark.parametrize("form", TABLES)
def test_tables_with_bars(tmp_path, form):
    path = tmp_path / "run.txt"
    path.write_text(TABLES[form])
    assert_read(tidy(open_log(path)))
    path.write_text(TABLES[form].replace(str(LOSS[3]), ""))
    assert tidy(open_log(path)).steps.tolist() == [s for s in STEPS if s != STEPS[3]]


def test_text_within_a_table_with_bars_is_told(tmp_path):
    path = tmp_path / "run.txt"
    path.write_text(TABLES["Markdown"].replace("| 1000 |", "saved step 900\n| 1000 |"))
    log = tidy(open_log(path))
    assert_read(log)
    assert "1 line without bars in a table that has them: left out" in log.notes


def test_a_missing_first_value_moves_no_other(tmp_path):
    path = tmp_path / "run.txt"
    path.write_text(TABLES["bars alone"].replace("\n1000|", "\n|"))
    assert tidy(open_log(path)).steps.tolist() == [s for s in STEPS if s != 1000]


@pytest.mark.parametrize("names", [("steps", "losses", "lrs"), ("Steps", "train_losses", "learning_rates")])
def test_names_in_the_plural(tmp_path, names):
    pd.DataFrame(dict(zip(names, (STEPS, LOSS, LR), strict=True))).to_csv(tmp_path / "run.csv", index=False)
    assert_read(tidy(open_log(tmp_path / "run.csv")))
    lists = dict(zip(names, (list(STEPS), LOSS, LR), strict=True))
    (tmp_path / "run.json").write_text(json.dumps(lists))
    assert_read(tidy(open_log(tmp_path / "run.json")))


def test_lists_with_steps_of_their_own(tmp_path):
    lists = {"train_steps": list(STEPS), "train_losses": [9.0 for _ in STEPS], "lrs": LR}
    lists |= {"val_steps": list(STEPS[1::2]), "val_losses": LOSS[1::2]}
    (tmp_path / "run.json").write_text(json.dumps(lists))
    assert_read(tidy(open_log(tmp_path / "run.json")), STEPS[1::2], LOSS[1::2])


@pytest.mark.parametrize("more", [{}, {"Run ID": "abc", "timestamp": 17}])
def test_an_export_of_mlflow_with_the_name_of_the_run(tmp_path, more):
    values = (("train_loss", loss_at), ("lr", rate_at))
    rows = [{"Name": "x", **more, "metric": k, "step": s, "value": f(s)} for k, f in values for s in STEPS]
    rows += [{**row, "Name": "y", **({"Run ID": "def"} if more else {}), "value": row["value"] / 2} for row in rows]
    pd.DataFrame(rows).to_csv(tmp_path / "m.csv", index=False)
    curves, _ = read(tmp_path / "m.csv")
    assert [curve.name for curve in curves] == (["abc", "def"] if more else ["x", "y"])
    for curve, factor in zip(curves, (1.0, 0.5), strict=True):
        np.testing.assert_allclose(curve.loss, np.multiply(LOSS, factor), rtol=1e-9)
        np.testing.assert_allclose(curve.schedule.lr[-1], LR[-1] * factor, rtol=0.02)


def frame(steps=STEPS, **columns):
    return pd.DataFrame({"step": steps, **columns})


@pytest.mark.parametrize(
    "names", [("train.csv", "val.csv"), ("train_log.csv", "valid_log.csv"), ("train.csv", "eval.csv")]
)
@pytest.mark.parametrize("rates", [True, False])
def test_a_table_for_each_split_of_a_run(tmp_path, names, rates):
    evaluated = STEPS[1::2]
    more = {"lr": [1.0 for _ in evaluated]} if rates else {}
    frame(loss=[x - 0.02 for x in LOSS], lr=LR).to_csv(tmp_path / names[0], index=False)
    frame(evaluated, loss=LOSS[1::2], **more).to_csv(tmp_path / names[1], index=False)
    (tmp_path / "args.json").write_text('{"lr": 0.001}')
    log = tidy(open_log(tmp_path))
    assert log.kind == "validation"
    assert_read(log, evaluated, LOSS[1::2])
    curve, _ = only(tmp_path)
    assert curve.schedule.total_steps == 2000
    log = tidy(open_log(tmp_path), loss="training/loss")
    np.testing.assert_allclose(log.loss, np.subtract(LOSS, 0.02))


def test_losses_that_name_their_split_in_the_tables_of_splits(tmp_path):
    frame(train_loss=[9.0 for _ in STEPS], lr=LR).to_csv(tmp_path / "train.csv", index=False)
    frame(val_loss=LOSS).to_csv(tmp_path / "val.csv", index=False)
    assert_read(tidy(open_log(tmp_path)))


def test_sizes_in_the_names_of_tables_are_runs(tmp_path):
    for k, name in enumerate(("train-125M", "val-350M")):
        frame(loss=[x - k for x in LOSS], lr=LR).to_csv(tmp_path / f"{name}.csv", index=False)
    curves, _ = read(tmp_path)
    assert [curve.name for curve in curves] == ["train-125M", "val-350M"]


SECOND = [x - 0.1 for x in LOSS]


@pytest.mark.parametrize("form", ["loss_seed{}", "val_loss/run {}", "loss-trial_{}"])
def test_a_column_of_losses_for_each_repetition(tmp_path, form):
    path = tmp_path / "run.csv"
    frame(lr=LR, **{form.format(0): LOSS, form.format(1): SECOND}).to_csv(path, index=False)
    curves, _ = read(path)
    assert [curve.name for curve in curves] == [form.format(k).split("loss")[1][1:] for k in (0, 1)]
    for curve, loss in zip(curves, (LOSS, SECOND), strict=True):
        np.testing.assert_allclose(curve.loss, loss)
        assert curve.schedule.lr[-1] == pytest.approx(LR[-1], rel=0.02)
    curve, _ = only(path, loss=form.format(1))
    np.testing.assert_allclose(curve.loss, SECOND)


def test_a_loss_and_a_rate_for_each_run_behind(tmp_path):
    path = tmp_path / "run.csv"
    half = [x / 2 for x in LR]
    frame(**{"loss/a": LOSS, "lr/a": LR, "loss/b": SECOND, "lr/b": half}).to_csv(path, index=False)
    curves, _ = read(path)
    assert [curve.name for curve in curves] == ["a", "b"]
    for curve, loss, rates in zip(curves, (LOSS, SECOND), (LR, half), strict=True):
        np.testing.assert_allclose(curve.loss, loss)
        assert curve.schedule.lr[-1] == pytest.approx(rates[-1], rel=0.02)


@pytest.mark.parametrize("names", [("loss_1", "loss_2"), ("loss/a", "loss/b"), ("loss_seed0", "loss_other")])
def test_columns_of_one_run_are_no_runs(tmp_path, names):
    path = tmp_path / "run.csv"
    frame(lr=LR, **{names[0]: LOSS, names[1]: SECOND}).to_csv(path, index=False)
    with pytest.raises(LogError, match="no column is the loss by its name"):
        read(path)


def test_the_parts_of_a_loss_with_rates_of_their_own_are_no_runs(tmp_path):
    path = tmp_path / "run.csv"
    frame(**{"loss/head": LOSS, "lr/head": LR, "loss/layer3": SECOND, "lr/layer3": LR}).to_csv(path, index=False)
    with pytest.raises(LogError, match="no column is the loss by its name"):
        tidy(open_log(path))


@pytest.mark.parametrize("key", ["message", "msg", "log"])
def test_console_output_in_messages_of_json(tmp_path, key):
    path = tmp_path / "run.jsonl"
    lines = [{"time": "12:00", key: "building the model\nwith 3 layers"}]
    lines += [{"time": "12:00", key: f"step {s} loss {loss_at(s):.9f} lr {rate_at(s):.9e}\n"} for s in STEPS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert_read(tidy(open_log(path)))


def test_messages_beside_metrics_are_left_alone(tmp_path):
    path = tmp_path / "run.jsonl"
    rows = [{"step": s, "loss": loss_at(s), "lr": rate_at(s), "message": f"step {s} loss 9.9 lr 0.1"} for s in STEPS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert_read(tidy(open_log(path)))


def test_a_file_that_begins_with_a_step_in_brackets(tmp_path):
    path = tmp_path / "run.log"
    path.write_text("".join(f"{LINES['CLU alone'](s)}\n" for s in STEPS))
    assert_read(tidy(open_log(path)))


@pytest.mark.parametrize(
    ("name", "size", "unclear"),
    [
        ("run_10B", [], "10B"),
        ("trained-for-2.5B-cosine", [], "2.5B"),
        ("run_10B_124M", ["124M"], ""),
        ("run-124M", ["124M"], ""),
        ("llama-7B", ["7B"], ""),
        ("pretrain-7B", ["7B"], ""),
        ("10B", ["10B"], ""),
    ],
)
def test_billions_of_a_run_may_be_tokens(name, size, unclear):
    assert sizes_in_name(name) == size
    assert unclear_size(name) == unclear


def test_a_draft_asks_what_billions_are(tmp_path):
    for k in (10, 20):
        frame(loss=LOSS, lr=LR).to_csv(tmp_path / f"run_{k}B.csv", index=False)
    found = draft([tmp_path], folder=tmp_path, columns=ColumnNames())
    assert [row["size"] for row in found.rows] == ["", ""]
    assert "run_10B: 10B in the name may be tokens: fill in the size if it is one" in found.checks


def test_an_accuracy_has_no_unit(tmp_path):
    path = tmp_path / "run.csv"
    frame(accuracy=LOSS, lr=LR).to_csv(path, index=False)
    _, notes = only(path, loss="accuracy")
    said = next(note for note in notes if "accuracy" in note)
    assert "name a column of losses with `loss`" in said
    assert "loss_unit" not in said


@pytest.mark.parametrize("form", ["Epoch: [{epoch}][{batch}/{length}]", "mmdet - Epoch [{epoch}][{batch}/{length}]"])
@pytest.mark.parametrize("first", [0, 1])
def test_epochs_from_0_or_1(tmp_path, form, first):
    log = logged(tmp_path, in_epochs(form + " loss: {loss:.9f} lr: {lr:.9e}", first))
    assert_read(log)
    assert any("the first one here is 1" in note for note in log.notes) == (first == 1 and "mmdet" not in form)


def test_a_log_that_begins_with_a_later_epoch_has_a_past(tmp_path):
    log = logged(tmp_path, in_epochs("Epoch: [{epoch}][{batch}/{length}] loss: {loss:.9f} lr: {lr:.9e}", 7))
    assert log.steps[0] == 7 * EPOCH + STEPS[0]


def test_a_number_in_brackets_beside_a_step_is_none(tmp_path):
    assert_read(logged(tmp_path, pairs("[3] iter={s}, loss={loss:.9f}, lr={lr:.9e}")))
