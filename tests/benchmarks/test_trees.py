"""The two genotypes that a search in trees lies between."""

from benchmarks.trees import main
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.space import TREE_PYRAMID


def test_both_are_written_for_each_cell_of_the_skeleton(tmp_path) -> None:
    main(["--cells=NRN", f"--run_dir={tmp_path}"])
    plain, full = (Genotype.load(tmp_path / f"{name}.json") for name in ("plain", "full"))
    assert list(plain.cells) == list(full.cells) == ["block_0", "block_1", "block_2"]
    for block, cell in full.cells.items():
        assert len(cell) == 12 * 7 and full.connected_edges(block) == list(cell)
        assert plain.connected_edges(block) == list(plain.cells[block])
        assert {edge.primitive for edge in plain.cells[block]} == {"skip"}
    assert full.space == TREE_PYRAMID.name
