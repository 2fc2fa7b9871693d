"""How much of what a model is about is in what was given: a racemate, a salt."""

from __future__ import annotations

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel

#: Milligrams of what a model is about in a milligram of what was given. Half of a racemate is the
#: S enantiomer; a gram of MgSO4.7H2O (246.47 g/mol) has 98.6 mg of magnesium.
CONTENT = {
    ("ketamine", "s_ketamine"): 0.5,
    ("magnesium_sulfate", "magnesium"): 24.305 / 246.47,
}


def content_of(agent: str, model: PharmacokineticModel) -> float:
    """Say how much of what a model is about is in what was given.

    Parameters
    ----------
    agent
        What was given.
    model
        The model.

    Returns
    -------
    float
        mg in a mg.

    Raises
    ------
    InputError
        If the model does not tell of it.
    """
    if agent == model.agent:
        return 1.0
    if (agent, model.agent) not in CONTENT:
        raise InputError(
            [
                Fault(
                    f"the model '{model.name}' is of {model.agent}, and {agent} was given",
                    "Take a model of what was given, or of a part of it whose share is known.",
                )
            ]
        )
    return CONTENT[agent, model.agent]
