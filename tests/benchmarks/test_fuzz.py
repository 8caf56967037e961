"""Readers of files that a person may hand over take whatever is in them: a sample of what the benchmark does."""

import pytest

from benchmarks.fuzz import fuzz
from benchmarks.fuzz_readers import readers

NAMES = (
    "genotype", "posterior", "masks", "run folder's config", "marker of a finished stage", "record of images",
    "metrics", "comparison", "checkpoint", "manifest", "labels", "flag file", "picture", "TFLite file, its format",
    "network",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def by_name(folder):
    return {reader.name: reader for reader in readers(folder)}


def test_every_reader_is_named(by_name):
    assert tuple(by_name) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_read_or_refused_in_a_line(name, by_name, folder):
    outcome = fuzz(by_name[name], 60 // by_name[name].cost, folder)
    assert outcome.faults == []
    assert outcome.read < outcome.files  # Some of it was damage that tells.
