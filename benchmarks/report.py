"""A table, the claims, and the plots, of what was measured."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from measure import Figures
from networks import NETWORKS
from results import Key, Results
from scenarios import PINNED, REFERENCE, limit_of

mpl.use("agg")
from matplotlib import pyplot as plt  # takes the screen, if there is one, unless told before

_COLUMNS: Final = (
    ("images/s", "images_per_s", "{:.1f}"),
    ("p50 ms", "p50_ms", "{:.1f}"),
    ("p99 ms", "p99_ms", "{:.1f}"),
    ("CPU ms/image", "cpu_ms", "{:.2f}"),
    ("model CPU ms", "model_cpu_ms", "{:.2f}"),
    ("load CPU ms", "load_cpu_ms", "{:.2f}"),
    ("memory MiB", "memory_mib", "{:.0f}"),
    ("bytes/image", "wire_bytes", "{:.0f}"),
)
_LIMIT: Final = Key("limit", "bare engine", REFERENCE)
_PINNED: Final = Key("limit", "bare engine", PINNED)
_ORIGINAL: Final = Key("original", "PaddleHub as the original", "float32, 1 x 8")
_SERVERS: Final = {"fp32": "standalone", "bf16": "standalone, bf16"}
_OURS: Final = ("clas_system", "clas_system, bf16")
_CLIENTS: Final = (1, 8, 32)
_BUSY: Final = 8


def line(key: Key, figures: Figures) -> str:
    """One measurement, to be seen while others follow."""
    shown = [
        f"{title} {form.format(value)}"
        for title, field, form in _COLUMNS
        if (value := getattr(figures, field)) is not None
    ]
    return f"{' | '.join(key)}: {', '.join(shown)}"


def write(results: Results, output: Path) -> None:
    """Write table.md and the plots to a folder."""
    text = "\n".join([*_table(results), "", *_claims(results), ""])
    (output / "table.md").write_text(text, "utf-8")
    _plot_rows(results, output / "throughput.png")
    _plot_peers(results, output / "peers.png")


def _table(results: Results) -> list[str]:
    titles = [title for title, _, _ in _COLUMNS]
    head = ["", "load: form, clients x images", *titles, "of the limit", "x original"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for key in results.keys:
        cells = [_cell(results.median(key, field), form) for _, field, form in _COLUMNS]
        cells += [_cell(results.ratio(key, _LIMIT), "{:.0%}"), _cell(results.ratio(key, _ORIGINAL), "{:.1f}")]
        lines.append(f"| {key.name} | {key.case} | {' | '.join(cells)} |")
    return lines


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


class _Claim(NamedTuple):
    """A claim: its measured value (None: not measured), how that is formatted, and the target."""

    what: str
    measured: float | None
    form: str
    target: str


def _claims(results: Results) -> list[str]:
    """The claims, as far as they were measured."""
    claims = (*_claims_of_throughput(results), *_claims_of_cost(results), *_claims_of_client(results))
    lines = ["| claim | measured | target |", "|---|---|---|"]
    return lines + [
        f"| {claim.what} | {claim.form.format(claim.measured)} | {claim.target} |"
        for claim in claims
        if claim.measured is not None
    ]


def _claims_of_throughput(results: Results) -> Iterator[_Claim]:
    for name, target in (("Paddle", "10"), ("OpenVINO", ""), ("OpenVINO, bf16", "")):
        hub = results.ratio(Key("hub", f"PaddleHub, {name}", "float32, 1 x 8"), _ORIGINAL)
        yield _Claim(f"PaddleHub, {name}, batch 8, float32, to the original", hub, "{:.1f}", target)
    for precision, name in _SERVERS.items():
        for form, clients in itertools.product(("uint8", "float32", "encoded"), (8, 32)):
            key = Key("standalone", name, f"{form}, {clients} x 1")
            share = results.ratio(key, _bare(precision))
            target = "80 %" if form == "uint8" and clients == _BUSY else ""
            yield _Claim(f"{name}, {key.case}, of the bare engine", share, "{:.0%}", target)
    for form in ("float32", "uint8", "encoded"):
        key = Key("pinned", "standalone on core 0, load on core 1", f"{form}, 8 x 1")
        share = results.ratio(key, _PINNED)
        yield _Claim(f"on core 0 alone, {key.case}, of the bare engine there", share, "{:.0%}", "")
    for form, target in (("uint8", "22"), ("encoded", "14")):
        key = Key("standalone", _SERVERS["bf16"], f"{form}, 8 x 1")
        yield _Claim(f"bf16, {key.case}, to the original", results.ratio(key, _ORIGINAL), "{:.1f}", target)
    yield from _claims_of_networks(results)
    yield from _claims_beside_peers(results)


def _claims_of_networks(results: Results) -> Iterator[_Claim]:
    for network, (precision, target) in itertools.product(NETWORKS, (("fp32", "80 %"), ("bf16", "80 %"))):
        served = Key("networks", f"{network}: standalone, {precision}", f"uint8, {_BUSY} x 1")
        bare = Key("networks", "bare engine", f"{network}: OpenVINO, {precision}")
        share = results.ratio(served, bare)
        yield _Claim(f"{network}, {precision}, {served.case}, of the bare engine", share, "{:.0%}", target)


def _claims_beside_peers(results: Results) -> Iterator[_Claim]:
    """Our images/s to those of the fastest peer, and p99 to the shortest, in the worst row."""
    peers = {key.name for key in results.keys if key.group == "peers"} - set(_OURS)
    for ours, form in itertools.product(_OURS, ("float32", "file")):
        cases = [f"{form}, {clients} x 1" for clients in _CLIENTS]
        mine = [Key("peers", ours, case) for case in cases]
        others = {key: [Key("peers", name, key.case) for name in peers] for key in mine}
        speed = _ratios(results, others, "images_per_s")
        wait = _ratios(results, others, "p99_ms")
        target = {"float32": {"": "1.3", "bf16": "2.3"}, "file": {"": "1.3", "bf16": "1.5"}}[form]
        wanted = target["bf16" if "bf16" in ours else ""]
        worst = min(speed, default=None)
        yield _Claim(f"{ours}, {form}, images/s to the best peer, worst row", worst, "{:.2f}", wanted)
        longest = max(wait, default=None)
        yield _Claim(f"{ours}, {form}, p99 to the best peer, worst row", longest, "{:.2f}", "below 1")


def _ratios(results: Results, others: Mapping[Key, Sequence[Key]], field: str) -> list[float]:
    """For each of our rows and each peer, the ratio of a figure."""
    found = [results.ratio(key, other, field) for key, rivals in others.items() for other in rivals]
    return [ratio for ratio in found if ratio is not None]


def _claims_of_cost(results: Results) -> Iterator[_Claim]:
    for precision, name in _SERVERS.items():
        alone, busy = (Key("standalone", name, f"uint8, {clients} x 1") for clients in (1, _BUSY))
        above_ms = results.difference(alone, _bare(precision, alone=True), "p50_ms")
        yield _Claim(
            f"{name}, a lone client, uint8, p50 above the bare engine's, ms", above_ms, "{:.1f}", "1.0"
        )
        cost_ms = results.difference(busy, _bare(precision), "cpu_ms")
        target = {"fp32": "1.3", "bf16": "0.6"}[precision]
        yield _Claim(f"{name}, {busy.case}, CPU ms above the bare engine's", cost_ms, "{:.1f}", target)
        yield _Claim(f"{name}, {busy.case}, MiB", results.median(busy, "memory_mib"), "{:.0f}", "250")


def _claims_of_client(results: Results) -> Iterator[_Claim]:
    for form in ("float32", "uint8", "encoded"):
        ours, ready = (
            Key("client", name, f"{form}, 4 x 8") for name in ("test_hubserving.py", "ready-made bodies")
        )
        what = f"client end to end, {form}, of ready-made bodies"
        yield _Claim(what, results.ratio(ours, ready), "{:.0%}", "85 %")


def _bare(precision: str, *, alone: bool = False) -> Key:
    return Key("limit", "bare engine", limit_of(precision, alone=alone))


def _plot_rows(results: Results, path: Path) -> None:
    """Images per second of our faces, beside the limit and the original."""
    chosen = [
        key
        for key in results.keys
        if key.group in ("original", "hub", "standalone")
        and (key.group != "standalone" or "8 x 1" in key.case)
    ]
    limit = results.median(_LIMIT, "images_per_s")
    if not chosen or limit is None:
        return
    figure, axes = plt.subplots(figsize=(9, 0.32 * len(chosen) + 1.4), layout="constrained")
    _bars(axes, results, chosen)
    axes.axvline(limit, color="black", linewidth=1, linestyle="--", label=f"bare engine: {REFERENCE}")
    axes.set_xlabel("images/s")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axes: Axes, results: Results, keys: Sequence[Key]) -> None:
    values = [results.median(key, "images_per_s") or 0 for key in keys]
    names = [f"{key.name}: {key.case}" for key in keys]
    bars = axes.barh(
        names, values, color=["#8da0cb" if key.group == "original" else "#66a61e" for key in keys]
    )
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.invert_yaxis()
    axes.margins(x=0.1)


def _plot_peers(results: Results, path: Path) -> None:
    """Images per second and p99 of the servers that a user would pick, by the number of clients."""
    names = list(dict.fromkeys(key.name for key in results.keys if key.group == "peers"))
    if not names:
        return
    figure, rows = plt.subplots(2, 2, figsize=(11, 7), layout="constrained", squeeze=False)
    for row, form in zip(rows, ("file", "float32"), strict=True):
        for axes, (field, title) in zip(
            row,
            (("images_per_s", "images/s (more is better)"), ("p99_ms", "p99, ms (less is better)")),
            strict=True,
        ):
            for number, name in enumerate(names):
                values = [results.median(Key("peers", name, f"{form}, {n} x 1"), field) for n in _CLIENTS]
                places = [place + number * 0.8 / len(names) for place in range(len(_CLIENTS))]
                axes.bar(places, [value or 0 for value in values], 0.75 / len(names), label=name)
            axes.set_xticks(
                [place + 0.35 for place in range(len(_CLIENTS))], [f"{n} clients" for n in _CLIENTS]
            )
            axes.set_title(f"{form}: {title}")
    rows[0][0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
