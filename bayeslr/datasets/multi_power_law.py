"""Facts of a public set: the loss curves of "A Multi-Power Law for Loss Curve Prediction" (arXiv 2503.12811).

Llama-2-style models of 25M, 100M and 400M parameters under nine schedules each, validation loss every 128 steps; three
schedules were fitted in the paper (``split`` is ``train``), the others predicted. Published under the MIT licence by
Kairong Luo et al. at github.com/thu-yao-01-luo/MultiPowerLaw; only names, checksums and schedules are kept here.
"""

from bayeslr.datasets.public import PublicRun, PublicSet

__all__ = ["MULTI_POWER_LAW"]

_COMMIT = "8da9f1902602f3391b971a811e3cc51604541769"
_PEAK = "peak_lr=3e-4, warmup_steps=2160"
_DECAY = f"{_PEAK}, final_lr=3e-5, decay_steps=4000, total_steps=24000"
# The same for every size: the name of a run, its split, its schedule.
_SCHEDULES = (
    ("constant_24000", "train", f"constant({_PEAK}, total_steps=24000)"),
    ("constant_72000", "test", f"constant({_PEAK}, total_steps=72000)"),
    ("cosine_24000", "train", f"cosine({_PEAK}, final_lr=3e-5, total_steps=24000)"),
    ("cosine_72000", "test", f"cosine({_PEAK}, final_lr=3e-5, total_steps=72000)"),
    ("wsd_20000_24000", "test", f"wsd({_DECAY}, decay='exponential')"),
    ("wsdcon_18", "test", f"multistep({_PEAK}, milestones=[8000], lrs=[1.8e-4], total_steps=16000)"),
    ("wsdcon_3", "test", f"multistep({_PEAK}, milestones=[8000], lrs=[3e-5], total_steps=16000)"),
    ("wsdcon_9", "train", f"multistep({_PEAK}, milestones=[8000], lrs=[9e-5], total_steps=16000)"),
    ("wsdld_20000_24000", "test", f"wsd({_DECAY}, decay='linear')"),
)
# SHA-256 of the source's files at the commit, by size and in the order of the schedules.
_SHA256 = {
    "25M": (
        "5a7c0b440751e258e7199eeefe9f0ae58520a2f2d64c5f81524d8d375f75f0ce",
        "99ee51a9be7b7fb71511d0af28edd6bc6221350d2ad26a66c615467cb5c83247",
        "554e35f9efbe28a614c9ae1121b3bf55490df6b72a5898957f68a52770038e3a",
        "af3b25a485966a0f7fc34824774cf8ec85af14848a6dc7b64d6a8d3d044befa5",
        "8649b7de4b4b31db5c35f4ff0458af9472a50168177de6372c3ceb37ace9fc62",
        "9b9bd40f519d20ecbf540d4c9451f6a01b7b379b1d335407ba4651025cc5926f",
        "3d37fcf82c237e5c1ba2ee34c4b9e606ecba781536d4fea9a7dde5463207fc3d",
        "b7579f38b5e175d9e9dc9b9598b409efdf2cba0a68819857ba28649c242c2bd8",
        "8e3a9ae33ed586e5040a114fad215f4f245c6a2ff7d96f61cba02ccd8b74b3e7",
    ),
    "100M": (
        "034a75e2415373a9be1097e9d406f98524344f4718d200d3a188dcbd5115103b",
        "52b5752009e1e4c396f15016e98897238fccb3816f58576ea944f03fe529dbc3",
        "dd544dc61a11fa138c98ac0b673d5512287062d2d2d2e9c2867976abc8c46e69",
        "2e637203b48b3e3a84063f49035cde2f6a40c69ecd15d95b6551774b9a279f44",
        "e66df98c85dba705ebc85512c6a09a8ebec5675878a20d4d783c0bf80d031002",
        "33cfea673dc0efde9e4fd74cc47d8daabdebfdc6d5a2659835bd780347f6e651",
        "a1cbb8c730ae0628d69bb1d7aefadbad5cda5f6a92272f85203cd33d7b8f4912",
        "510256497a0ea9d4270919fb37c56140e1b4d07e50b96b46334891ba316f144e",
        "0ef6b02e260ff5efa51a5885655ead8cf126a7e9c4ea3034d403e11852c06fe2",
    ),
    "400M": (
        "5d91536675592acdc40ea56f71ca24ee9026243e51a0a791ac25b631381c45ee",
        "a453ef82f549470cc8250723917668801436dd835fd17bbf71e1fd77d00a3b6c",
        "aa18c9dbad66610d2037249bbcbf08fdce0983aa486b876ba95c2e3fb6fc0dce",
        "347acbdc80042cb7cfe0dcb28580a2780718ccbad23443d4de76821f0a1ab41e",
        "8a56dbd8f6b553b42ca8b3f4be9822cf5b7458a6c1b7ae0ddc6ac57b2893dea7",
        "998aaf3fd14de43fe754c7250885d7f72e20e7a210b1ea205a8af37ea8b22951",
        "e1a896755ea1e1a6a4648a503be6a19eb62fc7ef12fbab3440a66f7a94197ac6",
        "497aa4a60df8f520e11e212a990dcf70e8bfd89e814f295dc5476af630aac768",
        "7c5d5141d917955491732606e8817e7fdbd4bc2036e508e1610ab8bd252267dc",
    ),
}

MULTI_POWER_LAW = PublicSet(
    name="multi_power_law",
    source=f"github.com/thu-yao-01-luo/MultiPowerLaw at commit {_COMMIT[:12]}",
    base_url=f"https://raw.githubusercontent.com/thu-yao-01-luo/MultiPowerLaw/{_COMMIT}/",
    licence=("LICENSE", "a864b23f4c3c706446637a6b811719bb4a68b79ac346cd29081b5def71eaf653"),
    runs=tuple(
        PublicRun(
            run=f"{size}/{name}",
            file=f"loss_curve_repo/csv_{size.removesuffix('M')}/{name}.csv",
            sha256=sha256,
            size=size,
            params=float(size.removesuffix("M")) * 1e6,
            schedule=schedule,
            split=split,
        )
        for size, checksums in _SHA256.items()
        for (name, split, schedule), sha256 in zip(_SCHEDULES, checksums, strict=True)
    ),
)
