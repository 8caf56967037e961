"""What killed commands left goes, and nothing else."""

from pathlib import Path

from vinnas_tf.run.leftovers import clear

LEFT = (
    ".config.json.tmp", "train/.result.json.tmp", "train/checkpoints/.epoch-3.npz.tmp", "train/.trash/finished",
    "train/.building/tflite/a.tflite", "train/.scratch/b",
)  # fmt: skip
KEPT = (
    ".lock", "config.json", "notes.tmp", ".mine", "train/result.json", "train/.mine", "train/tmp", "train/a.tmp",
    "search/.genotype.json.tmp", "train/rows/a/config.json", "train/rows/a/search/.genotype.json.tmp",
)  # fmt: skip


def test_what_a_killed_command_left_goes_and_nothing_else(tmp_path: Path) -> None:
    for name in (*LEFT, *KEPT):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    clear(tmp_path, tmp_path / "train")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(KEPT)
    assert not any((tmp_path / "train" / name).exists() for name in (".trash", ".building", ".scratch"))
    clear(tmp_path, tmp_path / "train")
