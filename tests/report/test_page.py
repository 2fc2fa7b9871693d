"""The page of a fit: order of sections, escaping, self-containment, and where it is written."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser

import pytest
import xarray as xr

from nmda_bayes.errors import InputError
from nmda_bayes.report.blocks import inline_svg
from nmda_bayes.report.page import render_report, write_report
from nmda_bayes.report.sections.model import spec_toml
from nmda_bayes.spec import AnalysisSpec
from tests.report import browser
from tests.report.conftest import BENEFIT_RISK, SCRIPT, emax, flat_rows, prior, quick_fit

ORDER = [
    "key-results", "convergence", "data", "model", "priors", "effects", "networks", "window",
    "prior-sensitivity", "predictive", "certainty", "provenance",
]  # fmt: skip
VOID = {"meta", "img", "br", "link", "input", "hr"}
DRAWN = {"path", "use", "g", "defs", "clippath", "rect", "image", "pattern", "svg"}


class Outline(HTMLParser):
    """Elements, headings and text (outside styles) of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"unexpected </{tag}>"

    def handle_data(self, data):
        if "style" not in self._open:
            self.text.append(data)
        if self._open and re.fullmatch(r"h[1-6]", self._open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    def sections(self) -> list[str]:
        return [a["id"] for tag, a in self.elements if tag == "section"]


@pytest.fixture(scope="session")
def page(benefit_risk) -> str:
    return render_report(benefit_risk)


@pytest.fixture(scope="session")
def outline(page) -> Outline:
    return Outline(page)


def test_order_of_sections(outline):
    assert outline.sections() == ORDER


def test_heading_levels_are_nested(outline):
    levels = [level for level, _ in outline.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_ids_are_unique_and_links_resolve(outline):
    ids = [a["id"] for _, a in outline.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for _, a in outline.elements if "href" in a]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_page_has_no_external_references(page, outline):
    for tag, attrs in outline.elements:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for key in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert not (attrs.get(key) or "").startswith(("http", "//", "file"))
        assert not any(key.startswith("on") for key in attrs)
    assert "url(http" not in page
    assert "@import" not in page


def test_generator_title_and_figure_numbers(page, outline):
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta name="generator" content="nmda-bayes">' in page
    assert "<title>Relief &amp; harm" in page
    figures = [a for tag, a in outline.elements if tag == "svg" or tag == "img"]
    assert len(figures) >= 10
    assert all(a.get("aria-label") or a.get("alt") for a in figures)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert [re.match(r"Figure (\d+)\.", c)[1] for c in captions] == [
        str(i + 1) for i in range(len(captions))
    ]


def test_text_from_data_is_escaped(page, outline):
    assert "<script" not in page.lower()
    assert SCRIPT in "".join(outline.text)
    assert {tag for tag, _ in outline.elements} <= DRAWN | VOID | {
        "html", "head", "title", "style", "body", "a", "header", "p", "h1", "h2", "h3", "nav", "ol",
        "ul", "li", "main", "section", "span", "div", "table", "caption", "thead", "tbody", "tr",
        "th", "td", "var", "sub", "sup", "dl", "dt", "dd", "details", "summary", "pre", "code",
        "figure", "figcaption", "footer",
    }  # fmt: skip


def test_alternative_text_is_escaped():
    drawn = '<?xml?><svg viewBox="0 0 1 1"><!-- <b> --><path id="a"/><use xlink:href="#a"/></svg>'
    html = str(inline_svg(drawn, f'"{SCRIPT}', 700, "f1-"))
    ((_, attrs), *rest) = Outline(html).elements
    assert attrs["aria-label"] == f'"{SCRIPT}'
    assert [(tag, a.get("id") or a.get("href")) for tag, a in rest] == [
        ("path", "f1-a"),
        ("use", "#f1-a"),
    ]
    assert "<!--" not in html


def test_intervals_gaps_and_missing_reasons_are_shown(outline):
    text = " ".join("".join(outline.text).split())
    assert "95% CrI: 95% credible interval (equal-tailed" in text
    assert "no reason given" in text
    assert "Prior only" in text
    assert "no trial: predicted from other trials and the prior" in text
    assert "more than 5 times the agent" not in text
    assert "had no event" in text


def test_equations_contain_the_texts_of_the_parts(page):
    text = re.sub(r"<[^>]+>", "", page)
    assert "emax · x / (x + exp(log_ed50))" in text
    assert "Binomial(n[arm], logit⁻¹(η[arm]))" in text
    assert (
        "emax_location + emax_between_agent · z[agent] + emax_between_condition · z[condition]"
        in (" ".join(text.split()))
    )
    assert "between_cells" not in text
    assert "HalfNormal(sigma=10)" in text


def test_spec_in_the_page_round_trips(tmp_path):
    spec = AnalysisSpec.from_dict(BENEFIT_RISK)
    file = tmp_path / "spec.toml"
    file.write_text(spec_toml(spec), encoding="utf-8")
    assert AnalysisSpec.from_toml(file) == spec


def test_page_is_reproducible(benefit_risk, page):
    assert render_report(benefit_risk) == page


@pytest.fixture(scope="session")
def not_converged(benefit_risk) -> xr.DataTree:
    bad = benefit_risk.copy()
    posterior = bad["posterior"].to_dataset().copy(deep=True)
    posterior["pain::heterogeneity_sd"][0] += 100
    bad["posterior"] = xr.DataTree(posterior)
    return bad


def test_failed_convergence_is_reported_first(not_converged):
    html = render_report(not_converged)
    outline = Outline(html)
    text = " ".join("".join(outline.text).split())
    first = html[html.index('id="convergence"') : html.index('id="key-results"')]
    assert 'class="failed" role="alert"' in first
    assert "R-hat is" in first
    assert "at pain::heterogeneity_sd" in first
    assert text.casefold().count("convergence checks failed") >= 4
    assert 'class="passed"' not in html


def one_outcome(**changes) -> dict:
    content = copy.deepcopy(BENEFIT_RISK)
    del content["outcomes"]["dissociation"], content["window"]
    content["outcomes"]["pain"] |= changes
    return content


CONTRAST = [
    {"study": f"T{i}", "agent": "ketamine", "comparator": "placebo", "dose": dose,
     "comparator_dose": 0.0, "estimate": -5.0 - i, "se": 2.0, "outcome": "pain"}
    for i, dose in enumerate([0.5, 1.0, 2.0])
]  # fmt: skip
EFFECT = {
    "effect": {"pooling": "common", "priors": {"location": prior("Normal", mu=0, sigma=20)}},
    "baseline": emax(20, 50, 20)["baseline"],
    "heterogeneity_sd": emax(20, 50, 20)["heterogeneity_sd"],
}
NO_BASELINE = {k: v for k, v in emax(20, 50, 20).items() if k != "baseline"}


def test_single_outcome_of_contrasts():
    fit = quick_fit(one_outcome(likelihood="normal_contrast", parameters=NO_BASELINE), CONTRAST)
    outline = Outline(render_report(fit))
    assert outline.sections() == [key for key in ORDER if key not in ("window", "networks")]
    text = "".join(outline.text)
    assert "T1: ketamine 1 v" in text
    assert "cancels" in text


def test_constant_effect_has_no_dose_axis():
    content = one_outcome(curve="constant", parameters=EFFECT)
    rows = [r for r in flat_rows() if r["outcome"] == "pain" and r["agent"] != "s_ketamine"]
    text = "".join(Outline(render_report(quick_fit(content, rows))).text)
    assert "Dose-response" not in text
    assert "all conditions combined" in text


@pytest.mark.slow
def test_no_events_in_many_trials():
    content = copy.deepcopy(BENEFIT_RISK)
    del content["outcomes"]["pain"], content["window"]
    rows = [
        {"study": f"Trial {i}", "agent": agent, "dose": dose, "events": 0, "n": 10}
        for i in range(70)
        for agent, dose in (("placebo", 0.0), ("ketamine", 1.0 + i % 3))
    ]
    page = render_report(quick_fit(content, rows))
    assert "no event in any arm" in page
    assert "the crude risk in the reference arms" in page
    assert len(page) < 12_000_000


def test_only_reports_are_overwritten(tmp_path, monkeypatch, benefit_risk, page):
    monkeypatch.setattr("nmda_bayes.report.page.render_report", lambda fit, variants, checks: page)
    path = tmp_path / "a report.html"
    assert write_report(path, benefit_risk) == path
    write_report(path, benefit_risk)
    assert [p.name for p in tmp_path.iterdir()] == ["a report.html"]
    other = tmp_path / "other.html"
    other.write_text("<html>another page</html>")
    for wrong, code in (
        (tmp_path, "E870"),
        (tmp_path / "missing" / "report.html", "E871"),
        (other, "E872"),
    ):
        with pytest.raises(InputError) as error:
            write_report(wrong, benefit_risk)
        (issue,) = error.value.issues
        assert (issue.code, issue.file) == (code, str(wrong))
    assert other.read_text() == "<html>another page</html>"


@pytest.mark.parametrize("width", [1280, 390])
def test_browser_shows_all_figures_without_requests(tmp_path, page, width):
    browser.require_browser()
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    visit = browser.visit(path, width)
    assert visit.console_errors == ()
    assert visit.requests == ()
    assert visit.overflow == 0
    assert len(visit.figures) >= 10
    assert [f.text for f in visit.figures if not f.visible] == []
