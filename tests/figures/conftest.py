"""Hand-written labelled arrays, shaped as the estimands make them."""

import sys
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.text import Text

from nmda_bayes.evidence import load_evidence

DOSES = np.concatenate([[0.0], np.geomspace(0.05, 9.0, 23)])
CHAINS, DRAWS = 2, 60


def make_response(
    agents: Sequence[str] = ("ketamine", "s_ketamine", "memantine"),
    conditions: Sequence[str] = ("crps", "neuropathic_peripheral"),
    doses: np.ndarray = DOSES,
    untested: Sequence[tuple[str, str]] = (("memantine", "crps"),),
) -> xr.DataArray:
    rng = np.random.default_rng(1)
    shape = (len(agents), len(conditions), 1, CHAINS, DRAWS)
    emax = rng.normal(-14, 6, shape)
    ed50 = np.exp(rng.normal(0, 0.5, shape))
    slope = rng.normal(0.5, 0.25, shape)
    d = doses[:, None, None]
    gain, risk = emax * d / (ed50 + d), 1 / (1 + np.exp(-(np.log(0.1 / 0.9) + slope * d)))
    trials = np.full((2, len(agents), len(conditions)), 3)
    for a, c in untested:
        if a in agents and c in conditions:
            trials[:, list(agents).index(a), list(conditions).index(c)] = 0
    top = np.where((trials.sum(-1) > 0), 3.0, np.nan)
    return xr.DataArray(
        np.stack([gain, risk]),
        dims=("outcome", "agent", "condition", "dose", "chain", "draw"),
        coords={
            "outcome": ["analgesia", "psychotomimetic"],
            "agent": list(agents),
            "condition": list(conditions),
            "dose": doses,
            "scale": ("outcome", ["difference", "risk"]),
            "label": ("outcome", ["Pain intensity", "Psychotomimetic events"]),
            "unit": ("outcome", ["points of 0-100", "probability"]),
            "better": ("outcome", ["lower", "lower"]),
            "trials": (("outcome", "agent", "condition"), trials),
            "tested_from": (("outcome", "agent"), top / 10),
            "tested_to": (("outcome", "agent"), top),
            "extrapolated": (
                ("outcome", "agent", "dose"),
                ~(doses[None, None, :] <= top[..., None]),
            ),
        },
        attrs={
            "exposure_axis": "dose, in multiples of the agent's reference dose",
            "baseline_risk": 0.1,
        },
        name="response",
    )


def make_window(response: xr.DataArray, *, draws: bool = False) -> xr.Dataset:
    gain = -response.sel(outcome="analgesia", drop=True).reset_coords(drop=True)
    added = response.sel(outcome="psychotomimetic", drop=True).reset_coords(drop=True) - 0.1
    good, safe = gain >= 10, added <= 0.1
    parts = {"p_benefit": good, "p_risk": safe, "p_both": good & safe}
    window = xr.Dataset({k: v.mean(("chain", "draw")) for k, v in parts.items()})
    if draws:
        window = window.assign(gain=gain, added_risk=added)
    window = window.assign_coords(
        extrapolated=response["extrapolated"].any("outcome"),
        trials_benefit=response["trials"].isel(outcome=0, drop=True),
        trials_harm=response["trials"].isel(outcome=1, drop=True),
    )
    window.attrs = {
        "benefit_at_least": 10.0,
        "risk_at_most": 0.1,
        "baseline_risk": 0.1,
        "exposure_axis": response.attrs["exposure_axis"],
        "benefit_unit": "points of 0-100",
        "benefit_label": "Pain intensity",
        "harm_label": "Psychotomimetic events",
    }
    return window


def make_effects(
    count: int = 9,
    agents: Sequence[str] = ("ketamine", "s_ketamine"),
    names: Sequence[str] = (),
    scale: str = "points of 0-100",
) -> xr.Dataset:
    rng = np.random.default_rng(2)
    raw = rng.normal(-9, 7, count)
    se = rng.uniform(2, 7, count)
    raw[count // 2] = se[count // 2] = np.nan
    note = np.array([""] * count, dtype=object)
    note[count // 2] = "a zero cell: no odds ratio without a correction"
    centre = np.nan_to_num(raw, nan=-9.0)
    if scale != "points of 0-100":
        raw, se, centre = raw / -7, se / 7, centre / -7
    studies = list(names) or [f"Author{1990 + i}" for i in range(count)]
    shape, rows = (CHAINS, DRAWS, count), range(count)
    groups = ("crps", "neuropathic_peripheral")
    spread = 4 if scale == "points of 0-100" else 0.6
    return xr.Dataset(
        {
            "raw": ("arm", raw),
            "raw_se": ("arm", se),
            "raw_note": ("arm", note),
            "shrunk": (("chain", "draw", "arm"), 0.6 * centre + rng.normal(0, spread, shape)),
            "predicted": (
                ("chain", "draw", "arm"),
                centre.mean() + rng.normal(0, 2 * spread, shape),
            ),
        },
        coords={
            "arm": np.array([f"{s}: arm" for s in studies], dtype=object),
            "study": ("arm", np.array(studies, dtype=object)),
            "agent": ("arm", np.array([agents[i % len(agents)] for i in rows], dtype=object)),
            "condition": ("arm", np.array([groups[i % 3 > 0] for i in rows], dtype=object)),
            "exposure": ("arm", rng.uniform(0.2, 3, count).round(2)),
            "comparator": ("arm", np.array(["placebo"] * count, dtype=object)),
        },
        attrs={"scale": scale, "label": "Pain intensity"},
    )


def make_parameters(
    agents: Sequence[str] = ("ketamine", "s_ketamine"),
) -> tuple[xr.Dataset, xr.Dataset]:
    rng = np.random.default_rng(3)
    shape = (4, 500)
    many = (*shape, len(agents))

    def draws(scale: float) -> xr.Dataset:
        sampled = ("chain", "draw")
        half = np.abs(rng.normal(0, 10 * scale, shape))
        off = np.tanh(rng.normal(0, scale, shape))
        matrix = np.stack([np.stack([off * 0 + 1, off], -1), np.stack([off, off * 0 + 1], -1)], -1)
        return xr.Dataset(
            {
                "analgesia::emax": ((*sampled, "agent"), rng.normal(-5, 20 * scale, many)),
                "analgesia::log_ed50": ((*sampled, "agent"), rng.normal(0, 1, many)),
                "analgesia::heterogeneity_sd": (sampled, half),
                "heterogeneity_correlation": ((*sampled, "outcome", "outcome_2"), matrix),
            },
            coords={"agent": list(agents), "outcome": ["a", "b"], "outcome_2": ["a", "b"]},
        )

    return draws(1.0), draws(0.3)


def make_map(agents: int = 8, conditions: int = 10, outcomes: int = 5) -> xr.Dataset:
    rng = np.random.default_rng(4)
    names = [
        "pain_intensity",
        "psychotomimetic_any",
        "depressive_symptoms",
        "opioid_use",
        "any_adverse_event",
        "serious_adverse_event",
        "nausea",
        "sedation",
        "dizziness",
        *(f"outcome_{i}" for i in range(outcomes)),
    ][:outcomes]
    counts = rng.poisson(0.35, (agents, conditions, outcomes)) * rng.integers(1, 5, (agents, 1, 1))
    counts[0, 0, 0] = 21
    if outcomes > 2:
        counts[:, :, 2] = 0
    drugs = ["ketamine", "s_ketamine", "memantine", "dextromethorphan", "amantadine", "magnesium"]
    drugs = [*drugs, *(f"agent_{i}" for i in range(agents))][:agents]
    groups = ["neuropathic_peripheral", "crps", "fibromyalgia", "phantom_limb", "acute_pain"]
    groups = [*groups, *(f"condition_{i}" for i in range(conditions))][:conditions]
    return xr.Dataset(
        {"results": (("agent", "condition", "outcome"), counts)},
        coords={"agent": drugs, "condition": groups, "outcome": names},
    )


def make_evidence(agents: int = 15) -> xr.DataTree:
    rng = np.random.default_rng(5)
    drugs = ["ketamine", "s_ketamine", "memantine", "dextromethorphan", "amantadine", "morphine"]
    drugs = [*drugs, "active_placebo_midazolam", *(f"agent_{i}" for i in range(agents))][
        : agents - 1
    ]
    rows = []
    for i, drug in enumerate(drugs):
        for k in range(max(1, 9 - 2 * i)):
            for agent in (drug, "placebo"):
                rows.append((f"{drug}{k}", agent, float(rng.integers(8, 60)), ""))
    for drug in drugs[2:5]:
        rows += [(f"h2h {drug}", drug, 20.0, ""), (f"h2h {drug}", "ketamine", 21.0, "")]
    frame = pd.DataFrame(rows, columns=["study", "agent", "n_randomised", "overlaps"])
    arms = xr.Dataset(
        {c: ("arm", frame[c].to_numpy(object if c != "n_randomised" else float)) for c in frame},
        coords={"arm": [f"{s}: {a}" for s, a in zip(frame["study"], frame["agent"], strict=True)]},
    )
    return xr.DataTree.from_dict({"arms": arms})


def texts(figure: Figure) -> list[str]:
    """Every text that a figure shows."""
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def full_text(figure: Figure) -> str:
    """All text that a figure shows, without line breaks."""
    return " ".join(" ".join(texts(figure)).split())


def visible_axes(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def collection(axes: Axes, label: str, kind: type = Collection) -> Collection:
    """The one collection of a kind whose label begins so."""
    (match,) = (
        c for c in axes.collections if str(c.get_label()).startswith(label) and isinstance(c, kind)
    )
    return match


def overlapping(figure: Figure, shown: Sequence[Text]) -> list[tuple[str, str]]:
    """Pairs of texts that overlap."""
    renderer = figure.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in shown]
    return [(a, b) for (a, x), (b, y) in combinations(boxes, 2) if x.overlaps(y)]


@pytest.fixture(autouse=True)
def _no_pyplot_figure_is_left():
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.fixture
def response() -> xr.DataArray:
    return make_response()


@pytest.fixture
def effects() -> xr.Dataset:
    return make_effects()


@pytest.fixture(scope="session")
def flat_evidence() -> xr.DataTree:
    """Trials of several doses of two drugs; a third has no dose."""
    rows = [
        ("A", "placebo", 0, 2, 20),
        ("A", "x", 5, 8, 21),
        ("A", "x", 10, 9, 30),
        ("B", "placebo", 0, 1, 10),
        ("B", "x", 5, 3, 11),
        ("B", "y", 500, 5, 12),
        ("C", "z", None, 1, 9),
        ("C", "placebo", 0, 1, 8),
    ]
    return load_evidence(pd.DataFrame(rows, columns=["study", "agent", "dose", "events", "n"]))
