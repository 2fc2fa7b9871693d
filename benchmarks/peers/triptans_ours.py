"""The triptans network here: python triptans_ours.py ARMS.csv OUT, as a cold process.

The whole of `nmda-bayes fit`, including prior and predictive draws, densities and the summary. Like
the peers, it writes draws.csv (one row per draw) and timings.csv to OUT.
"""

from __future__ import annotations

import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from nmda_bayes.cli import app
from nmda_bayes.runtime import tune_gc

SPEC = Path(__file__).parents[2] / "tests" / "reference" / "triptans_hierarchical.toml"
SAMPLING = {"draws": 1000, "tune": 200, "chains": 4, "target_accept": 0.9, "seed": 1}
NAMES = ("emax_location", "emax_between_agent", "log_ed50_location", "log_ed50_between_agent",
         "heterogeneity_sd", "emax", "ed50")  # fmt: skip

took: dict[str, float] = {}


def timed(name: str, step: Any, **fixed: Any) -> Any:
    """Record the duration of a step."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        start, used = time.perf_counter(), time.process_time()
        result = step(*args, **kwargs, **fixed)
        took[name] = time.perf_counter() - start
        took["processor"] = time.process_time() - used  # sampling comes last
        return result

    return wrapped


def main(arms: str, out: str) -> None:
    """Fit, and write draws and seconds."""
    tune_gc()  # as a verb does, before it imports what is heavy
    import nutpie
    import pandas as pd
    import tomli_w

    from nmda_bayes import inference
    from nmda_bayes.inference import nuts

    kept: dict[str, Any] = {}
    write = inference.write_fit
    inference.write_fit = lambda fit, path: write(kept.setdefault("fit", fit), path)
    nuts.compile_model = timed("compiling", nuts.compile_model)
    nutpie.sample = timed("sampling", nutpie.sample, cores=2)
    content = tomllib.loads(SPEC.read_text(encoding="utf-8")) | {"sampling": SAMPLING}
    spec = Path(out) / "spec.toml"
    spec.write_text(tomli_w.dumps(content), encoding="utf-8")
    outcome = CliRunner().invoke(
        app, ["fit", str(spec), "--evidence", arms, "--out", f"{out}/fit"], catch_exceptions=False
    )
    if outcome.exit_code not in (0, 3):
        sys.exit(outcome.output)
    fit, columns = kept["fit"], {}
    for name in NAMES:
        draws = fit["posterior"][name]
        if "agent" in draws.dims:
            columns |= {f"{name}[{a}]": draws.sel(agent=a).to_numpy().ravel()
                        for a in draws["agent"].to_numpy() if a != "placebo"}  # fmt: skip
        else:
            columns[name] = draws.to_numpy().ravel()
    chains, draws = SAMPLING["chains"], SAMPLING["draws"]
    index = {"chain": [c for c in range(chains) for _ in range(draws)],
             "draw": [d for _ in range(chains) for d in range(draws)]}  # fmt: skip
    pd.DataFrame(index | columns).to_csv(Path(out) / "draws.csv", index=False)
    diverging = int(fit["sample_stats"]["diverging"].sum())
    versions = f"nutpie {version('nutpie')}, PyMC {version('pymc')}"
    pd.DataFrame([{**took, "divergences": diverging, "version": versions}]).to_csv(
        Path(out) / "timings.csv", index=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
