"""The cells of every method, as the page shows them, against the method's own answers and the files."""

import json

import numpy as np
import pytest

from tests.report.runs import write_search
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import DataConfig
from vinnas_tf.methods import METHODS, method_from
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.plots.style import short_number
from vinnas_tf.report.cells import read_cells
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import exact
from vinnas_tf.run.folder import RunDir

OF_CELLS = [name for name, kind in METHODS.items() if kind.trains and not issubclass(kind, ChannelMethod)]


@pytest.mark.parametrize("method", OF_CELLS)
def test_every_epoch_shows_the_cells_that_would_have_been_chosen_then(method, tmp_path):
    result = write_search(tmp_path / "run", method)
    cells = read_cells(RunFolder(tmp_path / "run"))
    assert cells.genotype == Genotype.load(tmp_path / "run" / "search" / "genotype.json")
    assert [step.title.split(",")[0] for step in cells.steps] == [f"epoch {n} of 4" for n in (1, 2, 3, 4)]
    assert cells.shown == result.epoch - 1
    edges = [*SPACES["vinnas"].edges(2)]
    for number, step in enumerate(cells.steps):
        arrays = {name: of[number] for name, of in result.trajectory.items()}
        at = Found(result.found.space, 2, result.found.primitives, arrays)
        chosen = result.method.derive(at).cells["normal"]
        places = [(edges.index((e.source, e.target)), cells.primitives.index(e.primitive)) for e in chosen]
        assert step.cells["normal"]["chosen"] == places
        labels = sorted(
            (box.operation, box.text)
            for box in cells.drawings[step.cells["normal"]["drawing"]].boxes
            if box.operation >= 0
        )
        assert labels == [(index, edge.primitive) for index, edge in enumerate(chosen)]
        values = result.method.edge_values(at, {name: of[None] for name, of in arrays.items()}).values["normal"]
        texts = [[text for text, _ in row] for row in step.cells["normal"]["values"]]
        assert texts == [[short_number(float(value)) for value in row] for row in values]


@pytest.mark.parametrize(
    ("method", "column", "words"),
    [
        ("vinnas", "probability", "probability of being in the cell"),
        ("vinnas", "snr", "SNR"),
        ("si_vdnas", "keep_operation", "keep probability of the operation"),
        ("h_vdnas", "snr", "SNR"),
        ("bayesnas", "strength", "switch w'w, root mean square over the cells"),
    ],
)
def test_what_the_method_knows_of_a_choice_is_what_the_file_holds(method, column, words, tmp_path):
    write_search(tmp_path / "run", method)
    cells = read_cells(RunFolder(tmp_path / "run"))
    listed = json.loads((tmp_path / "run" / "search" / "posterior.json").read_text())["cells"]["normal"]
    shown = cells.steps[cells.shown].cells["normal"]
    for edge, tip in zip(cells.genotype.cells["normal"], shown["tips"], strict=True):
        (held,) = (one for one in listed if (one["source"], one["target"]) == (edge.source, edge.target))
        assert f"{words}: {exact(held['primitives'][edge.primitive][column])}" in tip.split("\n")
    table = cells.tables["normal"]
    of_column = [row[table.header.index(words)] for row in table.rows]
    assert of_column == [exact(value[column]) for edge in listed for value in edge["primitives"].values()]
    assert [row[2] for row in table.rows].count("yes") == len(cells.genotype.cells["normal"])


def test_a_search_that_goes_on_shows_what_it_would_choose_now(tmp_path):
    result = write_search(tmp_path / "run", finished=False)
    cells = read_cells(RunFolder(tmp_path / "run"))
    last = {name: of[-1] for name, of in result.trajectory.items()}
    assert cells.genotype == result.method.derive(Found(result.found.space, 2, result.found.primitives, last))
    assert cells.shown == 3


def test_of_many_epochs_evenly_spaced_ones_are_shown_and_the_one_that_was_kept(tmp_path):
    write_search(tmp_path / "run", epochs=90, best=50, states=1)
    cells = read_cells(RunFolder(tmp_path / "run"))
    numbers = [int(step.title.split()[1]) for step in cells.steps]
    assert numbers[0] == 1 and numbers[-1] == 90 and len(numbers) <= 41
    assert max(np.diff(numbers)) <= 3
    assert cells.steps[cells.shown].title == "epoch 51 of 90, the one that was kept"


def test_a_random_draw_has_cells_and_nothing_is_known_of_them(tmp_path):
    method = method_from({"method": "random", "cells": "N"})
    with RunDir(tmp_path, stage="search", settings=[DataConfig(), method.config], data_fingerprint="") as run:
        method.derive(None).save(run.file("genotype.json"))
        run.mark_finished()
    cells = read_cells(RunFolder(tmp_path))
    assert cells.genotype == method.derive(None)
    assert len(cells.steps) == 1 and not cells.tables and cells.steps[0].cells["normal"]["drawing"] in cells.drawings


def test_a_record_of_an_earlier_version_shows_the_file_and_says_why_there_is_no_more(tmp_path):
    write_search(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    del config["stages"]["search"]["settings"]["alpha_beta_1"], config["sha256"]
    path.write_text(json.dumps(config))
    cells = read_cells(RunFolder(tmp_path / "run"))
    assert len(cells.steps) == 1 and len(cells.tables["normal"].rows) == 50
    assert "a run of an earlier version, whose record lacks alpha_beta_1" in cells.warnings[0]
