"""The page in a real browser: what it shows is what the files hold, whatever their names."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.runs import (
    CLASSES,
    read_csv,
    write_curve,
    write_export,
    write_images,
    write_result,
    write_search,
)
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig
from vinnas_tf.data.images import load_train
from vinnas_tf.report.__main__ import main
from vinnas_tf.report.part import exact
from vinnas_tf.train.__main__ import main as train

WIDTHS = (360, 1400)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three classes, one of them named as markup: searched, trained and exported."""
    folder = tmp_path_factory.mktemp("report")
    write_images(folder / "images")
    path = folder / "<b>run"
    data = DataConfig(dataset=f"folder:{folder / 'images'}")
    fingerprint = load_train(data, 3).fingerprint
    write_search(path, data=data, fingerprint=fingerprint)
    flags = "--preset=smoke --data_fraction=1 --cells=N --channels=2 --epochs=3 --batch_size=8 --held_out=0.2"
    train([f"--dataset={data.dataset}", *flags.split(), f"--run_dir={path}"])
    result = json.loads((path / "train" / "result.json").read_text())
    write_export(path, result["network_sha256"], fingerprint)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    main([f"--run_dir={path}"])
    after = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "report.html"}
    assert before == after
    return path


@contextlib.contextmanager
def opened(browser: Any, path: Path, width: int = 1400, **context: Any) -> Iterator[Any]:
    """A page from the disk; what it says on the console, and what it asks a network for, fails the test."""
    told: list[str] = []
    with contextlib.closing(browser.new_context(viewport={"width": width, "height": 900}, **context)) as tab:
        page = tab.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.extend(re.findall("^(?!file:|data:).*", request.url)))
        page.goto(path.as_uri())
        yield page
        assert not told


@pytest.fixture(scope="module")
def page(run: Path, browser: Any) -> Iterator[Any]:
    with opened(browser, run / "report.html") as one:
        yield one


def texts(page: Any, selector: str) -> list[str]:
    return [one.strip() for one in page.locator(selector).all_inner_texts()]


def test_the_page_is_one_small_file(run):
    assert (run / "report.html").stat().st_size < 5_000_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_width_and_axe_finds_nothing_serious(width, scheme, run, browser):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install '.[dev]' brings axe")
    with opened(browser, run / "report.html", width, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".chart .main-svg").count() >= 5
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = axe.Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=1)[:3000]


def test_names_of_files_are_text_and_nothing_else(run, page):
    assert page.locator("h1").inner_text() == "<b>run"
    names = read_csv(run / "train" / "confusion.csv")[0][1:]
    assert set(names) == set(CLASSES)
    assert texts(page, ".confusion thead th")[1:] == names
    # Nothing between < and > of a file's name became an element.
    assert page.locator("script").count() == 3
    assert page.locator("h1 b").count() == 0


def test_figures_are_those_of_the_result(run, page):
    result = json.loads((run / "train" / "result.json").read_text())
    facts = dict(zip(texts(page, ".facts dt"), texts(page, ".facts dd"), strict=True))
    test = result["test"]["stripped"]
    assert facts["test accuracy"] == f"{test['accuracy']:.2%}"
    assert facts["test NLL, nats"] == f"{test['nll']:.4f}"
    assert facts["parameters"] == f"{result['params_stored']:,} of {result['params_dense']:,}"
    assert facts["parameters not 0"] == f"{result['params_stored_nonzero']:,}"
    counts = [row[1:] for row in read_csv(run / "train" / "confusion.csv")[1:]]
    assert texts(page, ".confusion td") == [count for row in counts for count in row]
    layers = {name: of for name, of in result["layers"].items() if of["weights_dense"]}
    assert texts(page, "#layers tbody th") == list(layers)
    told = [f"{of['weights_nonzero']:,} of {of['weights_dense']:,}" for of in layers.values()]
    assert [text.split(" (")[0] for text in texts(page, "#layers tbody td:nth-child(2)")] == told


def test_cells_tell_what_is_known_on_hover_and_on_focus(run, page):
    genotype = Genotype.load(run / "search" / "genotype.json")
    listed = json.loads((run / "search" / "posterior.json").read_text())["cells"]["normal"]
    operations = page.locator("svg.cell:not([hidden]) .operation")
    edges = genotype.cells["normal"]
    assert operations.count() == len(edges)
    for number, edge in enumerate(edges):
        operation, tip = operations.nth(number), page.locator("#tip")
        (held,) = (one for one in listed if (one["source"], one["target"]) == (edge.source, edge.target))
        known = held["primitives"][edge.primitive]
        wanted = [f"probability of being in the cell: {exact(known['probability'])}", f"SNR: {exact(known['snr'])}"]
        for act, leave in ((operation.focus, "() => document.activeElement.blur()"), (operation.hover, None)):
            act()
            lines = tip.inner_text().split("\n")
            assert lines[0].startswith(edge.primitive) and set(wanted) <= set(lines)
            if leave:
                page.evaluate(leave)
                assert tip.is_hidden()
        assert all(line in operation.get_attribute("aria-label") for line in wanted)


def test_the_slider_goes_through_the_epochs(run, page):
    data = json.loads(page.locator("#data").text_content())
    slider = page.locator("#epoch-slider")
    start = slider.input_value()
    for number, step in enumerate(data["cells"]["steps"]):
        slider.fill(str(number))
        assert page.locator("#epochs output").inner_text() == step["title"]
        shown = step["cells"]["normal"]
        assert texts(page, ".heat td") == [text for row in shown["values"] for text, _ in row]
        chosen = page.eval_on_selector_all(
            ".heat tbody tr", "rows => rows.flatMap((row, e) => [...row.querySelectorAll('td')]"
            ".flatMap((td, k) => td.classList.contains('chosen') ? [[e, k]] : []))"
        )  # fmt: skip
        assert sorted(chosen) == sorted(shown["chosen"])
        assert page.locator("svg.cell:not([hidden])").get_attribute("data-drawing") == shown["drawing"]
    slider.fill(start)


def test_the_slider_over_thresholds_tells_what_each_would_give(run, page):
    header, *rows = read_csv(run / "train" / "threshold.csv")
    slider = page.locator("#pruning-slider")
    used = json.loads((run / "config.json").read_text())["stages"]["train"]["settings"]["log_noise_ratio_threshold"]
    assert float(rows[int(slider.input_value())][0]) == used
    for number, row in enumerate(rows):
        of = dict(zip(header, map(float, row), strict=True))
        slider.fill(str(number))
        told = page.locator("[data-curve=pruning] .told").inner_text()
        assert f"threshold {of['threshold']:g}" in told and f"{of['accuracy']:.2%}" in told
        assert f"{of['params_nonzero']:,.0f} parameters" in told
        assert page.locator("[data-curve=pruning] code").inner_text().endswith(f"threshold={of['threshold']:g}")
    ring = page.evaluate("document.querySelector('[data-chart=pruning]').data.at(-1)")
    assert (ring["x"], ring["y"]) == ([of["params_nonzero"]], [100 * of["accuracy"]])


def test_files_are_shown_with_their_bars_and_a_command_that_can_be_copied(run, browser):
    files = json.loads((run / "export" / "manifest.json").read_text())["files"]
    with opened(browser, run / "report.html", permissions=["clipboard-read", "clipboard-write"]) as page:
        assert texts(page, "#files tbody th") == [*files, "tflite/unpruned"]
        verdicts = [text.split(":")[0] for text in texts(page, "#files tbody td:last-child")]
        assert verdicts == ["met", "FAILED", "to compare with, not kept"]
        assert "FAILED tflite/full_int8.tflite: top-1 agreement" in page.locator(".warnings").inner_text()
        page.locator("#files .copy").first.click()
        page.locator("#files .copy", has_text="Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"python -m vinnas_tf.export.predict '{run}/export/tflite/float32.tflite' PICTURE"


def test_what_has_not_run_is_said_where_it_would_stand(page, run):
    assert "No compression has run in this folder." in page.locator("#compression").inner_text()
    assert page.locator("#compression code").inner_text() == f"python -m vinnas_tf.compress '--run_dir={run}'"


def test_seed_versions_settings_and_data_are_those_of_the_record(page, run):
    stages = json.loads((run / "config.json").read_text())["stages"]
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in texts(page, "#made > .scroll tbody tr"))}
    assert rows["seed"] == [exact(stages[name]["settings"].get("seed")) for name in ("search", "train", "export")]
    assert rows["data fingerprint"] == [stages[name]["data_fingerprint"] for name in ("search", "train", "export")]
    assert rows["tensorflow"] == [stages["train"]["versions"]["tensorflow"]] * 3
    page.locator("#made summary").click()
    settings = {row[0]: row[1:] for row in (line.split("\t") for line in texts(page, "#made details tbody tr"))}
    assert settings["epochs"][:2] == ["4", "3"]


def test_the_test_images_that_it_is_surest_and_wrong_about_are_shown(page, run):
    counts = [[int(count) for count in row[1:]] for row in read_csv(run / "train" / "confusion.csv")[1:]]
    wrong = sum(map(sum, counts)) - sum(row[number] for number, row in enumerate(counts))
    shown = page.locator(".mistakes li")
    assert shown.count() == min(20, wrong)
    assert wrong == 0 or page.evaluate("document.querySelector('.mistakes img').naturalWidth") == 8


def test_print_has_light_colours_and_everything_unfolded(run, browser):
    with opened(browser, run / "report.html", color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator("details:not([open])").count() == 0
        ink = page.evaluate("document.querySelector('.chart').layout.font.color")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert ink == "#222222"
        assert page.locator("details:not([open])").count() > 0


@pytest.mark.parametrize("width", WIDTHS)
def test_several_runs_are_a_table_that_sorts_and_a_plot_that_names_them(width, browser, tmp_path):
    for name, accuracy, parameters in (("b", 0.9, 90), ("a", 0.95, 1000), ("<i>c", 0.8, 200)):
        write_result(tmp_path / name, accuracy, parameters)
    write_curve(tmp_path / "d", 1e-5)
    main([f"--run_dir={','.join(str(tmp_path / name) for name in ('b', 'a', '<i>c'))}"])
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install '.[dev]' brings axe")
    with opened(browser, tmp_path / "report.html", width) as page:
        assert texts(page, "#all-runs tbody th") == ["b", "a", "<i>c"]
        sort = page.get_by_role("button", name="parameters not 0")
        sort.click()
        assert texts(page, "#all-runs tbody th") == ["b", "<i>c", "a"]
        sort.click()
        assert texts(page, "#all-runs tbody th") == ["a", "<i>c", "b"]
        assert sorted(page.locator(".chart .textpoint").all_text_contents()) == ["<i>c", "a", "b"]
        drawn = page.evaluate("document.querySelector('.chart').data[0]")
        assert (drawn["x"], drawn["y"]) == ([90, 1000, 200], pytest.approx([90, 95, 80]))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert not [one for one in found if one["impact"] in ("serious", "critical")]


def test_a_run_that_has_only_begun_has_a_page(browser, tmp_path):
    write_search(tmp_path / "run", "si_vdnas", finished=False)
    main([f"--run_dir={tmp_path / 'run'}"])
    with opened(browser, tmp_path / "run" / "report.html") as page:
        assert re.match("search going on, epoch 4 of 4", texts(page, ".stages li")[0])
        assert "would be chosen now" in page.locator("h2").first.inner_text()
        assert "No training has run" in page.locator("#layers").inner_text()
