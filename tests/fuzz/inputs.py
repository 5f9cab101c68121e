"""Inputs as people and attackers give them: valid ones by a grammar, the same ones damaged, and known traps.

A strategy a kind gives the input itself: text for queries, specs and priors, bytes for files. Of posterior files it
gives the edits, which the worker makes on a file that it has.
"""

from hypothesis import strategies as st

NASTY = [
    *("", " ", "\0", "\n", "\r", "\t", "'", '"', "`", "\\", "#", ";", ",", "(", ")", "[", "]", "{", "}", "@", "=", "%"),
    *("nan", "NaN", "inf", "-inf", "1e999", "-1e999", "1e-999", "1e300", "-0", "0", "-1", "None", "null", "True"),
    *("9" * 20, "9" * 400, "9" * 5000, "0x10", "1_000", "1,5", "1e5", "١٢٣", "½", "1j"),
    *("\ufeff", "\u202e", "\xa0", "é", "😀", "\x1b[31m", "\ud800", "a" * 1000),
    *("+1" * 300, "(" * 300, "[" * 3000, "not " * 300, "-" * 3000, ".a" * 3000, "a," * 3000, "{" * 3000),
    *("__import__('os').system('touch pwned')", "@os.system('touch pwned')", "${HOME}", "$(touch pwned)", "../../etc"),
    *("@/dev/zero", "@pipe.csv", "@~nobody-of-this-name/x", "@os:system(total_steps=3)", "file:///etc/passwd"),
]


@st.composite
def damaged(draw, texts):
    """A text with a few of its parts removed, doubled, replaced, or joined by something nasty."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(text), 1)))
        length = draw(st.integers(0, 12))
        match draw(st.sampled_from(["drop", "double", "nasty", "character", "cut"])):
            case "drop":
                text = text[:place] + text[place + length :]
            case "double":
                text = text[: place + length] + text[place:]
            case "nasty":
                text = text[:place] + draw(st.sampled_from(NASTY)) + text[place:]
            case "character":
                text = text[:place] + draw(st.characters()) + text[place + 1 :]
            case "cut":
                text = text[: max(place, 1)]
    return text


def joined(*parts):
    return st.tuples(*parts).map("".join)


def one_of(*texts):
    return st.sampled_from(texts)


# queries over the columns of the worker's table
numbers = st.integers(-3, 3).map(str) | st.floats(-9, 9).map(lambda x: f"{x:.3g}") | one_of("1e6", "2.5e7")
columns = one_of("seed", "params", "total_steps", "`weight decay`")
sums = columns | numbers | joined(st.just("("), columns, one_of(" + ", " - ", " * ", " / "), numbers, st.just(")"))
conditions = st.recursive(
    joined(columns, one_of(" < ", " <= ", " > ", " >= ", " == ", " != "), sums)
    | joined(st.just("run "), one_of("==", "!="), one_of(" 'wsd-0'", " 'cyclic'", " ''"))
    | joined(st.just("size in ['25M', '"), one_of("100M", "1B"), st.just("']"))
    | joined(st.just("run.str."), one_of("contains", "startswith", "match"), one_of("('w')", "('c.*1')", "('-0')"))
    | one_of("rerun", "seed.isna()", "seed.between(0, 2)", "run.str.len() > 5"),
    lambda inner: (
        joined(st.just("("), inner, one_of(" and ", " or ", " & ", " | "), inner, st.just(")"))
        | joined(st.just("not ("), inner, st.just(")"))
    ),
    max_leaves=5,
)
queries = conditions | damaged(conditions) | damaged(damaged(conditions)) | st.text(max_size=40)

# schedules
rates = one_of("3e-4", "1e-3", "0.02", "1", "1e-9")
lengths = st.integers(1, 3000).map(str) | one_of("2.4e4", "1e5", "20000000", "1e12", "0", "-5")
calls = (
    joined(st.just("constant(peak_lr="), rates, st.just(", total_steps="), lengths, st.just(")"))
    | joined(st.just("cosine(peak_lr="), rates, st.just(", warmup_steps=10, total_steps="), lengths, st.just(")"))
    | joined(
        *(st.just("wsd(peak_lr="), rates, st.just(", final_lr=0, decay_steps="), lengths, st.just(", total_steps=")),
        *(lengths, st.just(", decay='"), one_of("linear", "cosine", "1-sqrt", "exponential"), st.just("')")),
    )
    | joined(st.just("multistep(peak_lr=1, total_steps="), lengths, st.just(", milestones=[5, 9], lrs=[.5, .1])"))
    | joined(st.just("cyclic(peak_lr=[1, 2], total_steps=200, cycle_steps="), lengths, st.just(")"))
    | one_of("@plan.csv", "@none.csv", "@pipe.csv", "@/dev/zero", "@../../../etc/passwd", "@")
)
specs = calls | damaged(calls) | damaged(damaged(calls)) | st.text(max_size=40)
families = damaged(calls.map(lambda text: text.replace("total_steps=", "total_steps=10..", 1)))

# priors
arguments = st.floats(-5, 5).map(lambda x: f"{x:.3g}") | one_of("0", "1", "1e-9", "1e300")
distributions = joined(
    one_of("Normal", "LogNormal", "HalfNormal", "Uniform", "Beta", "Gamma", "StudentT", "TruncatedNormal", "Cauchy"),
    *(st.just("("), arguments, st.just(", "), arguments, one_of(")", ", 3)", ", low=0)")),
)
priors = distributions | damaged(distributions) | st.text(max_size=30)


# files
def log_text(separator=",", end="\n"):
    rows = [("step", "loss", "lr"), *((s, f"{2 + 30 / s:.5f}", "0.001") for s in range(20, 801, 20))]
    return end.join(separator.join(map(str, row)) for row in rows) + end


def json_text():
    return "".join(f'{{"step": {s}, "loss": {2 + 30 / s:.5f}, "lr": 0.001}}\n' for s in range(20, 801, 20))


MANIFEST = (
    "run,file,size,params,schedule,split\n"
    'a,a.csv,25M,25e6,"constant(peak_lr=1e-3, total_steps=800)",train\n'
    'b,a.csv,25M,25e6,"cosine(peak_lr=1e-3, total_steps=900)",test\n'
    "c,a.csv,100M,1e8,,train\n"
)
PLAN = "step,lr\n0,0\n10,0.001\n900,0.001\n1000,0\n"


def encoded(texts):
    """The bytes of texts, in the encodings that files have, some of them damaged as bytes."""
    plain = st.tuples(texts, one_of("utf-8", "utf-8-sig", "utf-16", "latin-1")).map(
        lambda pair: pair[0].encode(pair[1], "replace")
    )
    return plain | st.tuples(plain, st.integers(0, 5000), st.binary(max_size=8)).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :]
    )


logs = encoded(
    one_of(log_text(), log_text(";"), log_text("\t"), log_text(end="\r\n"), json_text())
    | damaged(one_of(log_text(), log_text(";"), json_text()))
)
manifests = encoded(st.just(MANIFEST) | damaged(st.just(MANIFEST)) | damaged(damaged(st.just(MANIFEST))))
plans = encoded(st.just(PLAN) | damaged(st.just(PLAN)))

# edits of a posterior file: bytes anywhere, or something that somebody changes on purpose and seals again
flips = st.tuples(st.just("bytes"), st.floats(0, 1), st.binary(min_size=1, max_size=40))
cuts = st.tuples(st.just("cut"), st.floats(0, 1), st.just(b""))
arrays = one_of(
    *("posterior/alpha", "sampled/level", "posterior/noise", "posterior/chain", "posterior/size", "curves/steps"),
    *(
        "curves/loss",
        "curves/rate_differences",
        "curves/rate_order",
        "curves/rates_of",
        "curves/updates",
        "curves/observations",
        "curves/curve",
        "observed_data/run",
    ),
)
values = one_of("nan", "inf", "1e300", "-1", "0", "9" * 18, "x" * 200)
sealed_values = st.tuples(st.just("value"), arrays, values)
sealed_removals = st.tuples(st.just("remove"), arrays | one_of("posterior", "sample_stats", "curves"), st.just(""))
texts = damaged(one_of("SETTINGS", "MODEL")) | one_of("[" * 5000, "9" * 5000, "{}", "null", "[1]", '{"law": 3}')
sealed_texts = st.tuples(one_of("settings", "model"), st.just("attribute"), texts)
posteriors = flips | cuts | sealed_values | sealed_removals | sealed_texts

KINDS = {
    "query": queries,
    "schedule spec": specs,
    "family of schedules": families,
    "prior": priors,
    "schedule file": plans,
    "log": logs,
    "manifest": manifests,
    "posterior file": posteriors,
}
"""The strategy of each kind."""

TRAPS = {
    "query": [
        'params.to_frame().eval(\'@ast.sys.modules.get("os").system("touch pwned")\', level=0) == 1',
        "run.to_csv('pwned') == None",
        "run.to_pickle('pwned') == None",
        "9 ** 9 ** 9 ** 9 > seed",
        "run.str.contains('(a+)+$')",
        "run.str.contains('" + "a?" * 40 + "a" * 40 + "')",
        "(\rsize in ['25M', '1B'] or\nsize in ['25M', '100M'])",
        *("seed == " + nasty for nasty in NASTY),
    ],
    "schedule spec": [
        "cosine(peak_lr=" + "1+" * 500 + "1, total_steps=10)",
        "constant(peak_lr=1, total_steps=1e9)",
        "multistep(peak_lr=1, total_steps=10, milestones=[" + "1," * 30_000 + "], lrs=[1])",
        *("constant(total_steps=9, peak_lr=" + nasty + ")" for nasty in NASTY),
        *NASTY,
    ],
    "prior": ["Normal(0, 1" + "+1" * 50_000 + ")", "(" * 100_000, *("Normal(0, " + nasty + ")" for nasty in NASTY)],
    "log": [
        b"\xef\xbb\xbf",
        b"",
        b"step,loss,lr\n1,3.0,0.001\n1000000000,2.0,0.001\n",
        b"step,loss,lr\n1,3.0,0.001\n" + b"9" * 400 + b",2.0,0.001\n",
        b'{"step": 1, "loss": ' + b"9" * 400 + b"}\n",
        b'{"step": ' + b"9" * 4300 + b', "loss": 2}\n',
        b"[" * 3000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"run": [1], "step": 1, "loss": 2.0, "lr": 0.001}\n',
        b"step,loss\n" + b"," * 100_000,
        b"\x1f\x8b\x08\x00" + b"\x00" * 40,
    ],
    "manifest": [
        b"\xef\xbb\xbf",
        b'run,file,schedule\na,a.csv,"constant(peak_lr=1, total_steps=2e7)"\n'
        + b"".join(b'b%d,a.csv,"constant(peak_lr=1, total_steps=2e7)"\n' % k for k in range(300)),
        b"run,file\n" + b"a" * 100_000 + b",a.csv\n",
        b"run,file\na,/dev/zero\n",
        b"run,file\na,pipe.csv\n",
        b"run,file\na,../../../../../etc/passwd\n",
        b"run,file,schedule\na,a.csv,@/dev/zero\n",
        b"run,file,schedule\na,a.csv,@os:getcwd(total_steps=3)\n",
    ],
}
"""Inputs that once were trouble, here or elsewhere; they come first."""
