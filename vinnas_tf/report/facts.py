"""What a run comes to, how far it is, what it was made with, and what is to be warned of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.console import learnt_warning
from vinnas_tf.export import table
from vinnas_tf.report.folder import STAGES, RunFolder, State
from vinnas_tf.report.part import Table, exact, percent


@dataclass(frozen=True)
class Stage:
    """How far a stage is.

    Attributes:
        name: of it.
        state: how far.
        told: more about it; may be empty.
    """

    name: str
    state: State
    told: str


def stages_of(run: RunFolder) -> list[Stage]:
    """All stages, and how many epochs of one that is not finished are done."""
    found = []
    for name in STAGES:
        state, told = run.state(name), ""
        if state in (State.GOING_ON, State.INTERRUPTED):
            rows = run.rows(name, "metrics.csv")
            epochs = run.settings(name).get("epochs")
            told = f"epoch {len(rows)} of {epochs}" if name in ("search", "train") else ""
        elif state is State.FINISHED:
            told = run.records[name]["created"][:10]
        found.append(Stage(name, state, told))
    return found


def summary(run: RunFolder, result: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What a person wants to know first, as (title, value), of the network that the folder ships."""
    facts = []
    if result is not None:
        test = result["test"]["stripped"]
        facts.append(("test accuracy", percent(test["accuracy"])))
        if held_out := result.get("held_out"):
            facts.append(("held-out accuracy", percent(held_out["stripped"]["accuracy"])))
        facts.append(("test NLL, nats", f"{test['nll']:.4f}"))
        facts.append(("test calibration error", f"{test['ece']:.4f}"))
        facts.append(("parameters", f"{result['params_stored']:,} of {result['params_dense']:,}"))
        facts.append(("parameters not 0", f"{result['params_stored_nonzero']:,}"))
        flops = result["flops"]
        facts.append(("MFLOPs an image", f"{flops['stripped'] / 1e6:.2f} of {flops['dense'] / 1e6:.2f}"))
    manifest = run.json("export", "manifest.json") if "export" in run.finished else None
    if manifest:
        sizes = {
            name: entry["figures"]["bytes"]
            for name, entry in manifest["files"].items()
            if not entry["figures"]["failures"]
        }
        if sizes:
            smallest = min(sizes, key=sizes.__getitem__)
            facts.append((f"bytes of {smallest}, the smallest file that meets its bar", f"{sizes[smallest]:,}"))
    return facts


def class_table(result: Mapping[str, Any]) -> Table:
    """Recall of each class on the test images, of the network that is shipped."""
    recall, counts = result["test"]["stripped"]["recall"], result["class_counts"]
    trained = counts.get("train") or counts["training"]
    rows = [
        [name, percent(share), exact(learnt), exact(tested)]
        for name, share, learnt, tested in zip(result["class_names"], recall, trained, counts["test"], strict=True)
    ]
    return Table(["class", "recall on test images", "trained on", "tested on"], rows, "Recall of each class")


def warnings_of(run: RunFolder, result: Mapping[str, Any] | None, of_search: Sequence[str]) -> list[str]:
    """All that is to be warned of: by the search, of its images, and of stages that do not belong together."""
    found = [*of_search]
    if result is not None and result.get("test_images_learnt_from"):
        found.append(learnt_warning(result["test_images_learnt_from"], result["test"]["stripped"]["images"]))
    manifest = run.json("export", "manifest.json") if "export" in run.finished else None
    if manifest:
        files = {name: entry["figures"] for name, entry in manifest["files"].items()}
        found += [" ".join(table.remarks(name, of)) for name, of in files.items() if table.remarks(name, of)]
        if result is not None and manifest.get("network_sha256") != result.get("network_sha256"):
            found.append(
                "The exported files are not of this network, which was made after them: export again with --overwrite."
            )
    found += _of_stages(run)
    return found


def _of_stages(run: RunFolder) -> list[str]:
    """What does not belong together."""
    found = []
    paths = [run.file(stage, "genotype.json") for stage in ("search", "train") if stage in run.finished]
    if len({Genotype.load(path) for path in paths if path}) > 1:
        found.append("The training is of other cells than those that the search of this folder found.")
    prints = {name: run.records[name]["data_fingerprint"] for name in STAGES if name in run.finished}
    if len({*prints.values()}) > 1:
        told = ", ".join(f"{name} {value[:12]}" for name, value in prints.items())
        found.append(f"The stages have learnt from different images (data fingerprint of {told}).")
    for name in STAGES:
        if run.state(name) is State.INTERRUPTED:
            found.append(
                f"The {name} is not finished: the same command (without --overwrite) goes on where it stopped."
            )
    return found


def provenance(run: RunFolder) -> tuple[Table, Table]:
    """What each stage was made with (versions, data, date), and all settings, one column a stage."""
    stages = [name for name in STAGES if name in run.records]
    records = [run.records[name] for name in stages]
    packages = list(dict.fromkeys(package for record in records for package in record["versions"]))
    rows = [
        ["seed", *(exact(record["settings"].get("seed")) for record in records)],
        ["preset", *(record["preset"] or "-" for record in records)],
        ["data fingerprint", *(record["data_fingerprint"] or "-" for record in records)],
        *([package, *(record["versions"].get(package, "-") for record in records)] for package in packages),
        ["python", *(record["python"] for record in records)],
        ["platform", *(record["platform"] for record in records)],
        ["begun", *(record["created"] for record in records)],
    ]
    names = list(dict.fromkeys(name for record in records for name in record["settings"]))
    settings = [[name, *(_setting(record["settings"], name) for record in records)] for name in names]
    return (
        Table(["", *stages], rows, "Seed, data and versions of each stage"),
        Table(["setting", *stages], settings, "Settings of each stage"),
    )


def _setting(settings: Mapping[str, Any], name: str) -> str:
    """A setting as a flag spells it; one that the stage has not is a dash."""
    if name not in settings:
        return "-"
    value = settings[name]
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "empty" if value == "" else str(value).lower() if isinstance(value, bool) else str(value)
