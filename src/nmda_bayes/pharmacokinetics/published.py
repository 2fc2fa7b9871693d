"""The structures of the published models: what their reports say beside the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nmda_bayes.pharmacokinetics.structure import (
    INTRAVENOUS,
    Metabolite,
    Path,
    Structure,
    Symbols,
    absorbed,
)

#: A spray of esketamine for the nose, mg.
SPRAY = 28.0


def _nasal(p: Symbols, mg: float) -> Any:
    """Mean of the first spray's share and of the later ones', which is smaller."""
    sprays = max(1.0, mg / SPRAY)
    later = p["F_nasal_cavity_first_spray"] * p["relative_F_later_sprays"]
    return (p["F_nasal_cavity_first_spray"] + later * (sprays - 1)) / sprays


def _enzymes(p: Symbols) -> Any:
    return sum(value for symbol, value in p.items() if symbol.startswith("CL_CYP"))


def _past_the_liver(p: Symbols) -> Any:
    """Share that escapes a well-stirred liver on its first way through."""
    return p["Q1_hepatic"] / (p["Q1_hepatic"] + _enzymes(p))


_NOT_PRINTED = (
    "powers of body weight are not printed: the usual 1 for volumes and 0.75 for clearances"
)
_BY_WEIGHT = "volumes and clearances in proportion to body weight"

#: By report. What is said of nlmixr2lib is in the model files that the table's source_note names,
#: which quote the papers' tables and code.
STRUCTURES: Mapping[str, Structure] = {
    "Simons2022": Structure(
        # The swallowed part of the film (F2, KA2, MTT_gut) reaches the metabolites alone.
        routes={
            **INTRAVENOUS,
            "oral_thin_film": (
                Path(
                    lambda p, mg: p["F1_mucosal"],
                    "KA1",
                    hours="D1_zero_order_input",
                    parent_only=True,
                ),
            ),
        },
        metabolites=(
            Metabolite(
                "s_norketamine",
                fraction=lambda p: 0.8,
                transit="mean_transit_time_from_ketamine",
                molar=True,
            ),
            Metabolite(
                "s_hydroxynorketamine",
                source="s_norketamine",
                fraction=lambda p: 0.7,
                transit="mean_transit_time_from_norketamine",
                molar=True,
            ),
        ),
        specimen="arterial plasma",
        assumes=(
            "80 % of S-ketamine becomes S-norketamine and 70 % of that S-hydroxynorketamine, each"
            " through two pools (paper's Methods, quoted by nlmixr2lib)",
            _NOT_PRINTED,
        ),
        lacks=(
            "variability between occasions",
            "metabolites of what is swallowed of a film",
        ),
    ),
    "Otto2021": Structure(
        metabolites=(Metabolite("s_norketamine"),),
        specimen="venous plasma",
        assumes=(
            "all S-ketamine becomes S-norketamine, a milligram a milligram",
            "peripheral volumes and flows do not go with body weight (supplementary code)",
        ),
        lacks=("the covariance of the metabolite's volume and clearance",),
    ),
    "Flint2017": Structure(
        specimen="plasma",
        lacks=("S-norketamine: its clearance rises with time, and its volume was fixed at 1 L",),
    ),
    "PerezRuixo2021": Structure(
        routes={
            **INTRAVENOUS,
            "intranasal": (
                Path(_nasal, "ka_nasal"),
                Path(
                    lambda p, mg: (1 - _nasal(p, mg)) * p["F_gut"],
                    "ka_swallowed",
                    hours="D_swallowed",
                    liver=True,
                ),
            ),
            "oral": (Path(lambda p, mg: p["F_gut"], "ka_oral", hours="D_oral", liver=True),),
        },
        metabolites=(
            Metabolite("s_norketamine", fraction=lambda p: p["kmet"] / (p["kel"] + p["kmet"])),
        ),
        specimen="plasma",
        assumes=(
            "a dose for the nose is given in sprays of 28 mg at once",
            "no effect of body weight (screened and not kept), of age above 60 or of descent",
        ),
        lacks=(
            "between-subject variability of kmet (not printed) and of the nasal share (printed on"
            " the logit scale)",
        ),
    ),
    "Kamp2020meta": Structure(
        exponents=(1.0, 1.0), assumes=(f"{_BY_WEIGHT}, as opentiva reads the paper",)
    ),
    "Domino": Structure(assumes=(_BY_WEIGHT,)),
    "Clements1981": Structure(assumes=(_BY_WEIGHT,)),
    "Hijazi2003": Structure(assumes=(_BY_WEIGHT,)),
    "Herd2007": Structure(assumes=("allometric: 1 for volumes, 0.75 for clearances",)),
    "Hornik2018": Structure(assumes=("allometric: 1 for volumes, 0.75 for clearances",)),
    "Du2019Mg": Structure(
        specimen="serum",
        assumes=(
            "serum creatinine of 0.8 mg/dL",
            "allometric: 1 for volumes, 0.75 for clearances (paper's Table 3)",
        ),
        lacks=("the baseline, to which 18 mg/L is added for the total",),
    ),
    "Salinger2013Mg": Structure(
        routes={**INTRAVENOUS, "im": absorbed("KA_im", "F_im")},
        own_exponents={"V1": (55.0, 0.692)},
        specimen="serum",
        assumes=(
            "serum creatinine of 0.8 mg/dL",
            "volume goes with (weight / 55 kg)^0.692, clearance not with weight (paper's Table 2)",
        ),
    ),
    "ClinPK2002Mg": Structure(lacks=("how it goes with body weight", "the baseline")),
    "BMCPreg2024Mg": Structure(
        lacks=(
            "the baseline, about 18.5 mg/L: it predicts the rise",
            "effects of BMI, creatinine clearance and furosemide",
            "how it goes with body weight",
        )
    ),
    "daCosta2020Mg": Structure(
        lacks=("effects of weight and creatinine",),
        assumes=(
            "total magnesium without a baseline: its clearance is too low to compare with others",
        ),
    ),
    "terHeine2014": Structure(
        routes={
            "oral": (
                Path(
                    lambda p, mg: _past_the_liver(p),
                    "ka",
                    lag="t_lag",
                    first_pass=lambda p: 1 - _past_the_liver(p),
                ),
            )
        },
        metabolites=(
            Metabolite(
                "dextrorphan",
                fraction=lambda p: p["CL_CYP2D6_to_dextrorphan"] / _enzymes(p),
                molar=True,
            ),
        ),
        specimen="plasma",
        assumes=(
            "apparent values: what is absorbed counts as all of the dose",
            "the liver is in balance with plasma at any time (paper's Appendix 1)",
        ),
    ),
}
