"""Public tables as a user would bring them: read, asked about, fitted, compared with references.

    python benchmarks/public_tables.py FOLDER --fit --trials TRIALS.json --out results

Every table of FOLDER is checked in a process with a time and a memory limit. What ``check`` asks
is answered: by the answers file, or by the first setting that the message suggests. Then the table
is fitted by the template that the program chooses, and the effects are compared, in posterior SDs,
with quadrature under the priors of the stored spec (--trials, from peers/public_tables.R), or with
the stored references. Writes OUT.csv, OUT.md and OUT.json; --again OUT.json compares stored
effects anew, without a fit.
"""

import argparse
import csv
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from public_quadrature import posterior

_PUBLIC = Path(__file__).parents[1] / "tests/reference/public"
_SETTING = re.compile(r"""--set\s+(?:'([^']+)'|"([^"]+)"|`([^`]+)`|(\S+))""")
_PLACEHOLDER = re.compile(r"(?:^|[,=])[A-Z][A-Z_]{2,}(?:$|[,=])|\.{3}|…|<|>")
_NOTES = ("conversion:", "note:", "format:", "read:", "choice:")
_SEPARATORS = re.compile(r"[\W_]+")


@dataclass
class Answer:
    """What a command did."""

    code: int
    text: str
    seconds: float
    megabytes: float

    @property
    def crashed(self) -> bool:
        return "Traceback (most recent" in self.text or self.code < 0 or self.code in (1, 139)

    @property
    def timed_out(self) -> bool:
        return self.code == 124


def has_questions(code: int, text: str) -> bool:
    """Whether a command stopped, or lists questions while it goes on."""
    return code == 2 or bool(re.search(r"^\W*(question|decide)", text, re.I | re.M))


@dataclass
class Row:
    """One line of the table of results."""

    table: str
    read: str = "no"  # as it is | after one round | no
    format: str = ""
    digest: str = ""
    likelihood: str = ""
    questions: str = ""
    rounds: int = 0
    fitted: str = ""
    template: str = ""
    effects: list[dict[str, Any]] = field(default_factory=list)
    worst: float | None = None  # largest difference from the reference, in posterior SDs
    compared: str = ""
    unit: str = ""
    priors: tuple[float, float] | None = None
    settings: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    megabytes: float = 0.0
    crash: str = ""
    reason: str = ""


def run_limited(words: Sequence[str], seconds: float, gigabytes: float, prefix: str) -> Answer:
    """Run a command; exit code 124 stands for the time limit."""

    def limit() -> None:
        size = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        os.setpgid(0, 0)

    with tempfile.TemporaryFile() as output:
        command = [*shlex.split(prefix), "timeout", "-k", "5", str(seconds), *words]
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, preexec_fn=limit,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Answer(process.returncode, text, time.monotonic() - start, usage.ru_maxrss / 1024)


def suggested_settings(text: str) -> dict[str, list[str]]:
    """Settings that messages suggest, by key, in order; notes are not questions."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.strip().lower().startswith(_NOTES):
            continue
        for groups in _SETTING.findall(line):
            word = next(g for g in groups if g).rstrip(".,;:)`'\"")
            if "=" in word:
                key, value = word.split("=", 1)
                if key != "KEY" and value:
                    found.setdefault(key, []).append(value)
    return found


def answers_to(
    text: str, known: dict[str, str], already: dict[str, str], columns: Sequence[str] = ()
) -> dict[str, str]:
    """An answer to every question, each on its line: what is known, else its first suggestion."""
    answers: dict[str, str] = {}
    for line in text.splitlines():
        suggested = {
            key: [value for value in values if not _PLACEHOLDER.search(value)]
            for key, values in suggested_settings(line).items()
            if not _PLACEHOLDER.search(key)
        }
        stems = {key: known.get(key) or known.get(key.split(".")[0]) for key in suggested}
        chosen = {key: value for key, value in stems.items() if value is not None}
        if not chosen:
            chosen = {key: values[0] for key, values in suggested.items() if values}
            chosen = dict(list(chosen.items())[:1])
        answers |= {key: value for key, value in chosen.items() if already.get(key) != value}
    return answers


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", str(name)).casefold()


def read_effects(folder: Path) -> list[dict[str, Any]]:
    """Pooled effects of a results folder."""
    rows = []
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row.get("variable") or row.get("parameter") or ""
            if name.split("::")[-1] == "effect":
                rows.append(
                    {
                        "agent": row.get("agent") or "",
                        "outcome": name.split("::")[0] if "::" in name else "",
                        "mean": float(row["mean"]),
                        "sd": float(row["sd"]),
                    }
                )
    return rows


def likelihood_of(folder: Path) -> str:
    """Likelihood of the first outcome of a results folder."""
    spec = json.loads((folder / "manifest.json").read_text())["spec"]
    return str(next(iter(spec["outcomes"].values()))["likelihood"])


def priors_of(folder: Path) -> tuple[float, float] | None:
    """SDs of the priors of effect and heterogeneity, from the stored spec."""
    spec = json.loads((folder / "manifest.json").read_text())["spec"]
    parameters = next(iter(spec["outcomes"].values()))["parameters"]
    try:
        effect = parameters["effect"]["priors"]
        tau = (parameters.get("heterogeneity_sd") or parameters["heterogeneity"])["priors"]
        effect_sd = next(iter(effect.values()))["kwargs"]["sigma"]
        return float(effect_sd), float(next(iter(tau.values()))["kwargs"]["sigma"])
    except (KeyError, StopIteration, TypeError):
        return None


def compare(
    effects: list[dict[str, Any]],
    entry: dict[str, Any],
    priors: tuple[float, float] | None,
    scale: str | None,
    likelihood: str = "",
) -> tuple[float | None, str, str]:
    """Largest difference in SDs, how it was compared, and the unit in which the answer came.

    Counts of two groups under a binomial likelihood are compared with two binomials, others with
    the conditional likelihood.
    """
    conditional = likelihood != "binomial"
    low, high = map(float, scale.split(",")) if scale and "," in scale else (0.0, 100.0)
    units = {"table": 1.0}
    if scale and entry["scale"] in ("mean difference", "mean"):
        units["points of 100"] = (high - low) / 100
    best: tuple[float | None, str, str] = (None, "", "")
    for unit, factor in units.items():
        stored = entry["prior"]
        if entry.get("mcmc") and priors == (stored["effect"], stored["tau"]):
            reference, how = entry["mcmc"], "MCMC"
        elif priors and "trials_data" in entry:
            sds = (priors[0] * factor, priors[1] * factor)
            reference = posterior(entry["trials_data"], *sds, conditional=conditional)
            approximate = " (Laplace: approximate)" if entry.get("mcmc") else ""
            how = f"quadrature{approximate}, priors of the spec"
        else:
            reference, how = entry.get("mcmc") or entry.get("quadrature"), "stored reference"
        if not reference:
            continue
        by_agent = {_folded(r["agent"]): r for r in reference}
        differences = []
        for effect in effects:
            other = by_agent.get(_folded(effect["agent"]))
            if other is None and len(reference) == 1 and len(effects) == 1:
                other = reference[0]
            if other is None:
                continue
            differences.append((effect["mean"] * factor - other["effect"]) / other["sd"])
        if differences:
            worst = max(differences, key=abs)
            if len(reference) == len(effects) == 1 and abs(worst) > 0.1:
                sum_ = (effects[0]["mean"] * factor + reference[0]["effect"]) / reference[0]["sd"]
                how += ", agrees with the sign reversed" if abs(sum_) < 0.1 else ""
            if best[0] is None or abs(worst) < abs(best[0]):
                note = f"{how}; {len(differences)} of {len(reference)} effects"
                best = (round(worst, 3), note, unit)
    return best


def judge(
    path: Path, options: argparse.Namespace, known: dict[str, Any], entries: list[Any]
) -> Row:
    """Check one table, answer what is asked, fit it and compare."""
    row = Row(path.stem)
    settings: dict[str, str] = dict(known.get("always", {}))
    answers = known.get("answers", {})

    def call(verb: str, *words: str, seconds: float) -> Answer:
        sets = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
        command = [*shlex.split(options.command), verb, *words, *sets]
        prefix = "" if verb == "check" else options.prefix
        answer = run_limited(command, seconds, options.gigabytes, prefix)
        row.seconds = round(row.seconds + answer.seconds, 1)
        row.megabytes = max(row.megabytes, round(answer.megabytes))
        if answer.crashed:
            row.crash = f"{verb}: exit {answer.code}"
        if answer.timed_out:
            row.crash = f"{verb}: time limit"
        return answer

    def answer_all(verb: str, *words: str, seconds: float) -> Answer:
        answer = call(verb, *words, seconds=seconds)
        while has_questions(answer.code, answer.text) and row.rounds < options.rounds:
            new = answers_to(answer.text, answers, settings)
            if not new:
                break
            settings.update(new)
            row.rounds += 1
            answer = call(verb, *words, seconds=seconds)
        return answer

    checked = answer_all("check", str(path), seconds=options.check_seconds)
    text = checked.text
    if checked.code == 0:
        row.read = "as it is" if row.rounds == 0 else f"after {row.rounds} round(s)"
    digest = re.search(r"sha256 (\w+)", text)
    row.digest = digest.group(1) if digest else ""
    found = re.search(r"^format: (\S+)", text, re.MULTILINE)
    row.format = found.group(1) if found else ""
    if checked.code == 0 and options.fit and not known.get("no_fit"):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            words = ("--evidence", str(path), "--out", str(out))
            fitted = answer_all(options.verb, *words, seconds=options.fit_seconds)
            text = fitted.text
            row.fitted = {0: "yes", 3: "yes, checks failed"}.get(fitted.code, "no")
            template = re.search(r"spec: (\S+?):", text)
            row.template = template.group(1) if template else ""
            if row.fitted.startswith("yes"):
                row.effects = read_effects(out)
                row.priors = priors_of(out)
                row.likelihood = likelihood_of(out)
    row.settings = settings
    if row.fitted.startswith("yes"):
        compare_row(row, entries, known)
    row.questions = " ".join(f"{k}={v}" for k, v in settings.items())
    if checked.code != 0 or row.fitted == "no":
        lines = [x for x in text.splitlines() if re.match(r"(error|question|refused)", x, re.I)]
        row.reason = (lines or text.strip().splitlines()[-1:] or [""])[0][:400]
    return row


def compare_row(row: Row, entries: list[Any], known: dict[str, Any]) -> None:
    """Compare the stored effects of a row with the table's reference."""
    wanted = known.get("what")
    chosen = next((e for e in entries if wanted is None or e["what"] == wanted), None)
    if chosen is None:
        row.compared = "no reference"
    elif not row.effects:
        row.compared = "no pooled effect in the summary"
    else:
        priors = (row.priors[0], row.priors[1]) if row.priors else None
        answer = compare(row.effects, chosen, priors, row.settings.get("scale"), row.likelihood)
        row.worst, row.compared, row.unit = answer


def _table(rows: list[Row]) -> str:
    lines = ["| table | read | format | questions | fitted | effect (SD) | off by, SD | remark |"]
    lines.append("|" + " --- |" * 8)
    for r in rows:
        shown = "; ".join(f"{e['agent']} {e['mean']:.3g} ({e['sd']:.2g})" for e in r.effects[:3])
        shown += f"; {len(r.effects) - 3} more" if len(r.effects) > 3 else ""
        off = "" if r.worst is None else f"{r.worst:+.2f}"
        remark = (r.crash or r.reason or r.compared).replace("|", "/")[:160]
        cells = [r.table, r.read, r.format, r.questions, r.fitted, shown, off, remark]
        lines.append(
            "| " + " | ".join(c.replace("|", "/").replace("\n", " ") for c in cells) + " |"
        )
    return "\n".join(lines) + "\n"


def other_digests(rows: list[Row], base: list[Row]) -> list[str]:
    """Variants (TABLE@HOW) whose evidence differs from that of their table."""
    digests = {r.table: r.digest for r in base if "@" not in r.table}
    return [
        r.table
        for r in rows
        if "@" in r.table and r.digest != digests.get(r.table.split("@")[0], r.digest)
    ]


def _counts(rows: list[Row]) -> dict[str, int]:
    return {
        "tables": len(rows),
        "read as they are": sum(r.read == "as it is" for r in rows),
        "read after one round": sum(r.read == "after 1 round(s)" for r in rows),
        "read after more": sum(r.read.startswith("after") and r.rounds > 1 for r in rows),
        "fitted after at most one round": sum(
            r.fitted[:3] == "yes" and r.rounds <= 1 for r in rows
        ),
        "fitted": sum(r.fitted[:3] == "yes" for r in rows),
        "compared": sum(r.worst is not None for r in rows),
        "off by more than 0.1 SD": sum(r.worst is not None and abs(r.worst) > 0.1 for r in rows),
        "crashes and time limits": sum(bool(r.crash) for r in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="folder of tables, or one table")
    parser.add_argument("--reference", type=Path, default=_PUBLIC / "references.json")
    parser.add_argument("--trials", type=Path, help="numbers of the trials, from public_tables.R")
    parser.add_argument("--answers", type=Path, default=_PUBLIC / "answers.json")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--verb", default="fit", choices=("fit", "run"))
    parser.add_argument("--again", type=Path, help="compare the effects stored in this JSON anew")
    parser.add_argument(
        "--same", type=Path, help="results of the tables of which these are variants"
    )
    parser.add_argument("--only", default="", help="tables with this text in their name")
    parser.add_argument("--rounds", type=int, default=4, help="at most so many rounds of answers")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--command", default="nmda-bayes")
    parser.add_argument("--prefix", default="", help="words before a fit, such as a queue")
    parser.add_argument("--check-seconds", type=float, default=60)
    parser.add_argument("--fit-seconds", type=float, default=400)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--out", type=Path, default=Path("public_tables"))
    options = parser.parse_args()
    if options.folder is None:
        print("public_tables.py: name a folder of tables")
        return
    references = json.loads(options.reference.read_text()) if options.reference.exists() else []
    if options.trials:
        numbers = {
            (t["table"], t["what"]): t["trials"] for t in json.loads(options.trials.read_text())
        }
        for entry in references:
            if (entry["table"], entry["what"]) in numbers:
                entry["trials_data"] = numbers[entry["table"], entry["what"]]
    known = json.loads(options.answers.read_text()) if options.answers.exists() else {}
    paths = [options.folder]
    if options.folder.is_dir():
        kinds = ("*.csv", "*.tsv", "*.txt", "*.xlsx")
        paths = sorted(p for kind in kinds for p in options.folder.glob(kind))
    paths = [p for p in paths if options.only in p.stem]

    def one(path: Path) -> Row:
        table = path.stem.split("@")[0]  # NAME@VARIANT.csv: the same table, written otherwise
        entries = [e for e in references if e["table"] == table]
        row = judge(path, options, known.get(table, {}), entries)
        off = "" if row.worst is None else f", off by {row.worst:+.2f} SD"
        print(f"{row.table}: {row.read}, fitted {row.fitted or '-'}{off} {row.crash}", flush=True)
        return row

    if options.again:
        stored = json.loads(options.again.read_text())["rows"]
        rows = [Row(**{k: r[k] for k in Row.__dataclass_fields__ if k in r}) for r in stored]
        for row in rows:
            if row.fitted.startswith("yes"):
                table = row.table.split("@")[0]
                entries = [e for e in references if e["table"] == table]
                compare_row(row, entries, known.get(table, {}))
    else:
        with ThreadPoolExecutor(options.jobs) as pool:
            rows = list(pool.map(one, paths))
    counts = _counts(rows)
    if options.same:
        stored = json.loads(options.same.read_text())["rows"]
        base = [Row(**{k: r[k] for k in Row.__dataclass_fields__ if k in r}) for r in stored]
        different = other_digests(rows, base)
        counts["variants read otherwise than their table"] = len(different)
        print("read otherwise:", *different, sep="\n  ")
    data = {"counts": counts, "rows": [asdict(r) for r in rows]}
    options.out.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(_table(rows))
    with options.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])) if rows else ["table"])
        writer.writeheader()
        writer.writerows(asdict(r) for r in rows)
    print(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
