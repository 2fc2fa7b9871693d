"""The triptans network here: python triptans_ours.py ARMS.csv OUT, as a cold process.

The whole of `nmda-bayes fit`: prior and predictive draws, densities and the summary too. Written to
OUT are draws.csv (one row a draw) and told.csv, as the peers do.
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
from nmda_bayes.garbage import look_rarely

SPEC = Path(__file__).parents[2] / "tests" / "reference" / "triptans_hierarchical.toml"
SAMPLING = {"draws": 1000, "tune": 200, "chains": 4, "target_accept": 0.9, "seed": 1}
NAMES = ("emax_location", "emax_between_agent", "log_ed50_location", "log_ed50_between_agent",
         "heterogeneity_sd", "emax", "ed50")  # fmt: skip

took: dict[str, float] = {}


def timed(name: str, act: Any, **more: Any) -> Any:
    """Keep how long a step takes."""

    def wrapped(*args: Any, **given: Any) -> Any:
        start, used = time.perf_counter(), time.process_time()
        made = act(*args, **given, **more)
        took[name] = time.perf_counter() - start
        took["processor"] = time.process_time() - used  # sampling comes last
        return made

    return wrapped


def main(arms: str, out: str) -> None:
    """Fit, and write draws and seconds."""
    look_rarely()  # as a verb does, before it imports what is heavy
    import nutpie
    import pandas as pd
    import tomli_w

    from nmda_bayes import inference
    from nmda_bayes.inference import nuts

    kept: dict[str, Any] = {}
    write = inference.write_fit
    inference.write_fit = lambda fit, path: write(kept.setdefault("fit", fit), path)
    nuts.compiled_density = timed("compiling", nuts.compiled_density)
    nutpie.sample = timed("sampling", nutpie.sample, cores=2)
    content = tomllib.loads(SPEC.read_text(encoding="utf-8")) | {"sampling": SAMPLING}
    spec = Path(out) / "spec.toml"
    spec.write_text(tomli_w.dumps(content), encoding="utf-8")
    told = CliRunner().invoke(
        app, ["fit", str(spec), "--evidence", arms, "--out", f"{out}/fit"], catch_exceptions=False
    )
    if told.exit_code not in (0, 3):
        sys.exit(told.output)
    fit, columns = kept["fit"], {}
    for name in NAMES:
        draws = fit["posterior"][name]
        if "agent" in draws.dims:
            columns |= {f"{name}[{a}]": draws.sel(agent=a).to_numpy().ravel()
                        for a in draws["agent"].to_numpy() if a != "placebo"}  # fmt: skip
        else:
            columns[name] = draws.to_numpy().ravel()
    chains, draws = SAMPLING["chains"], SAMPLING["draws"]
    places = {"chain": [c for c in range(chains) for _ in range(draws)],
              "draw": [d for _ in range(chains) for d in range(draws)]}  # fmt: skip
    pd.DataFrame(places | columns).to_csv(Path(out) / "draws.csv", index=False)
    diverging = int(fit["sample_stats"]["diverging"].sum())
    versions = f"nutpie {version('nutpie')}, PyMC {version('pymc')}"
    pd.DataFrame([{**took, "divergences": diverging, "version": versions}]).to_csv(
        Path(out) / "told.csv", index=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
