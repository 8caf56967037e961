import dataclasses
import importlib.resources
from dataclasses import dataclass

import pytest
from absl import flags as absl_flags

from vinnas_tf.config import DataConfig, RunConfig, SearchConfig, TrainConfig, VerifyConfig, setting
from vinnas_tf.errors import UserError, require
from vinnas_tf.flags import Inherited, define, given_flags, preset_names, read_flags
from vinnas_tf.flags.define import spelt_as_flags
from vinnas_tf.methods import METHODS, method_variants


@dataclass(frozen=True, kw_only=True)
class Oven:
    """How to bake."""

    loaf: str = setting("rye", "Kind of loaf.")
    minutes: int = setting(50, "Minutes in the oven.")
    heat: float = setting(220.0, "Degrees.")
    steam: bool = setting(False, "Whether to steam.")
    seeds: tuple[str, ...] = setting(("flax",), "Seeds on top.")
    folds: tuple[int, ...] = setting((10,), "Minutes at which the dough is folded.")

    def __post_init__(self):
        require(self.minutes > 0, f"--minutes must be positive, got {self.minutes}.")


def read(*argv, kinds=(Oven,), variants=None):
    return read_flags(argv, *kinds, command="search", usage="Bakes.", variants=variants)


def read_search(*argv):
    return read(*argv, kinds=(DataConfig, SearchConfig), variants=method_variants())


def error_of(*argv, kinds=(Oven,)):
    with pytest.raises(UserError) as caught:
        read(*argv, kinds=kinds)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_flags_the_dataclass_defaults_hold():
    settings = read()
    assert settings[Oven] == Oven()
    assert settings.preset == ""


def test_every_type_is_read_from_text():
    oven = read(
        "--loaf=white", "--minutes", "30", "--heat=2e2", "--steam", "--seeds=flax, poppy,,sesame", "--folds=5, 15"
    )[Oven]
    seeds = ("flax", "poppy", "sesame")
    assert oven == Oven(loaf="white", minutes=30, heat=200.0, steam=True, seeds=seeds, folds=(5, 15))
    assert [type(value) for value in dataclasses.astuple(oven)] == [str, int, float, bool, tuple, tuple]


def test_a_switch_goes_off_again_and_a_list_can_be_emptied():
    oven = read("--steam", "--nosteam", "--seeds=")[Oven]
    assert oven.steam is False
    assert oven.seeds == ()


def test_flag_sets_do_not_meet():
    before = set(absl_flags.FLAGS)
    read("--minutes=1")
    assert read()[Oven].minutes == 50
    assert set(absl_flags.FLAGS) == before


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--minute=3"], ["--minute", "did you mean --minutes"]),
        (["--zzz"], ["--zzz", "--help"]),
        (["--minutes=abc"], ["--minutes=abc", "an integer"]),
        (["--minutes=1.5"], ["--minutes=1.5", "an integer"]),
        (["--heat=nan"], ["--heat=nan", "a finite number"]),
        (["--steam=perhaps"], ["--steam=perhaps", "true or false"]),
        (["--minutes"], ["--minutes", "Missing value"]),
        (["--seeds", "flax", "poppy"], ["'poppy'", "--name=value"]),
        (["--folds=5,half"], ["--folds=5,half", "integers separated by commas"]),
        (["--minutes=0"], ["--minutes must be positive, got 0"]),
        (["--preset=cake"], ["'cake'", ", ".join(preset_names("search"))]),
        (["--preset=../presets/mnist"], ["unknown preset"]),
    ],
)
def test_a_mistake_is_named_in_one_line(argv, parts):
    message = error_of(*argv)
    for part in parts:
        assert part in message


def read_train(*argv, inherit=lambda _: Inherited()):
    kinds = (DataConfig, TrainConfig, RunConfig)
    return read_flags(argv, *kinds, command="train", usage="Trains.", inherit=inherit)


def test_a_command_takes_over_what_an_earlier_stage_was_run_with():
    asked = []

    def inherit(run_dir):
        asked.append(run_dir)
        return Inherited({"dataset": "mnist", "image_size": 16, "cells": "RN", "states": 3}, "smoke")

    settings = read_train("--run_dir=runs/m", inherit=inherit)
    assert asked == ["runs/m"]
    # The preset goes by the earlier stage's, and beats what was taken over; the command line beats both.
    assert settings.preset == "smoke"
    assert (settings[DataConfig].dataset, settings[DataConfig].image_size) == ("digits", 16)
    assert settings[TrainConfig].cells == "R"
    settings = read_train(
        "--run_dir=runs/m", "--cells=NN", "--dataset=svhn_cropped", "--preset=digits", inherit=inherit
    )
    assert (settings.preset, settings[TrainConfig].cells, settings[DataConfig].image_size) == ("digits", "NN", 16)
    assert settings[DataConfig].dataset == "svhn_cropped"


def test_a_preset_that_nobody_named_does_not_replace_the_data_that_were_searched_on():
    def inherit(_):
        return Inherited({"dataset": "mnist", "cells": "NR"}, "smoke", firm=("dataset",))

    settings = read_train("--run_dir=runs/m", inherit=inherit)
    assert (settings.preset, settings[DataConfig].dataset, settings[TrainConfig].cells) == ("smoke", "mnist", "R")
    named = read_train("--run_dir=runs/m", "--preset=smoke", inherit=inherit)
    assert named[DataConfig].dataset == "digits"
    assert read_train("--run_dir=runs/m", "--dataset=cifar10", inherit=inherit)[DataConfig].dataset == "cifar10"


def test_the_preset_named_after_the_data_set_is_the_default():
    assert read_search().preset == "digits"
    assert read_search("--dataset=mnist")[SearchConfig] == read_search("--preset=mnist")[SearchConfig]
    assert read_search("--dataset=mnist").preset == "mnist"
    assert read_search("--dataset=svhn_cropped").preset == ""
    assert read_search("--dataset=svhn_cropped")[SearchConfig] == SearchConfig()


def test_flags_beat_the_preset_wherever_they_stand():
    for argv in (["--epochs=3", "--preset=mnist"], ["--preset=mnist", "--epochs=3"]):
        search = read_search(*argv)[SearchConfig]
        assert (search.epochs, search.cells) == (3, "R")
    assert read_search("--preset=cifar10", "--augment=")[DataConfig].augment == ()
    assert read_search("--preset=cifar10", "--dataset=digits")[DataConfig].dataset == "digits"


def test_a_value_that_clashes_with_the_preset_says_where_the_other_came_from():
    with pytest.raises(UserError) as caught:
        read_search("--dataset=mnist", "--epochs=2")
    message = str(caught.value)
    assert "weight_epochs" in message
    assert "preset mnist" in message


def test_help_shows_every_flag_default_and_preset_within_80_columns(capsys):
    with pytest.raises(SystemExit) as caught:
        read_search("--help")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    flat = " ".join(out.split())
    settings = read_search()
    # A preset has values for several methods.
    own = [read_search(f"--method={method}").variant for method in METHODS]
    kinds = [DataConfig, SearchConfig, *map(type, own)]
    values = {
        name: value
        for one in (*map(settings.__getitem__, kinds[:2]), *own)
        for name, value in dataclasses.asdict(one).items()
    }
    for kind in kinds:
        for field in dataclasses.fields(kind):
            value = values[field.name]
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            shown = f"[no]{field.name} (now {str(text).lower()})" if isinstance(value, bool) else f"{field.name}={text}"
            assert f"--{shown} {field.metadata['help']}" in flat
    for preset in preset_names("search"):
        assert f" {preset}: " in flat


def test_help_shows_the_values_of_the_chosen_preset(capsys):
    with pytest.raises(SystemExit):
        read_search("--preset=fashion_mnist", "--seed=5", "-h")
    out = capsys.readouterr().out
    assert "--cells=NNRNNRNN\n" in out
    assert "--seed=5\n" in out
    assert "Bakes." in out


def test_a_flag_file_stands_for_its_flags(tmp_path):
    (tmp_path / "my.flags").write_text("--minutes=30\n--loaf=pâté\n", encoding="utf-8")
    given = f"--flagfile={tmp_path / 'my.flags'}"
    assert read(given)[Oven] == Oven(minutes=30, loaf="pâté")
    assert read(given, "--minutes=5")[Oven].minutes == 5
    assert read("--minutes=5", given)[Oven].minutes == 30
    assert "can't read" in error_of(f"--flagfile={tmp_path / 'absent.flags'}")


def test_every_flag_that_names_a_path_knows_home_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    kinds = {"run_dir": RunConfig, "data_dir": DataConfig, "genotype": TrainConfig, "file": VerifyConfig}
    kinds["network"] = VerifyConfig
    for name, kind in kinds.items():
        for value, read_as in (("~/x", f"{tmp_path}/x"), ("x", "x"), ("", "")):
            settings = read_flags([f"--{name}={value}"], kind, command="verify", usage="")
            assert getattr(settings[kind], name) == read_as
        with pytest.raises(UserError, match=rf"^flag --{name}=~no-such-user: .*no home folder ~no-such-user"):
            read_flags([f"--{name}=~no-such-user"], kind, command="verify", usage="")
    assert read_flags(["~/x"], VerifyConfig, command="", usage="", positional="file")[VerifyConfig].file.endswith("/x")
    with pytest.raises(UserError, match="no home folder ~no-such-user"):
        read_flags(["~no-such-user"], VerifyConfig, command="", usage="", positional="file")


def test_one_field_may_be_given_without_its_name():
    def loaf(*argv):
        return read_flags(argv, Oven, command="verify", usage="Bakes.", positional="loaf")[Oven].loaf

    assert loaf("white", "--minutes", "30") == loaf("--loaf=white") == "white"
    with pytest.raises(UserError, match="unexpected argument 'white rye'"):
        loaf("white", "rye")


def test_a_command_without_presets_has_no_flag_for_them(capsys):
    with pytest.raises(UserError, match="unknown flag --preset"):
        read_flags(["--preset=mnist"], Oven, command="verify", usage="Bakes.")
    with pytest.raises(SystemExit):
        read_flags(["--help"], Oven, command="verify", usage="Bakes.")
    assert "preset" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("message", "spelt"),
    [
        ("epochs must be at least 1, got 0.", "--epochs must be at least 1, got 0."),
        ("cells=RRR halves images: use fewer R.", "--cells=RRR halves images: use fewer R."),
        ("no epochs are left: use a larger data_fraction.", "no epochs are left: use a larger --data_fraction."),
        ("select: a score is not a number.", "select: a score is not a number."),
        ("can't read /a/run_dir/x and image_size.png", "can't read /a/run_dir/x and image_size.png"),
        ("--seed must be what it is.", "--seed must be what it is."),
    ],
)
def test_a_command_spells_settings_as_flags(message, spelt):
    assert spelt_as_flags(message) == spelt


def test_the_chosen_method_decides_which_further_settings_there_are():
    settings = read_search("--method=darts", "--darts_order=2")
    assert settings.variant == METHODS["darts"].Settings(darts_order=2)
    assert read_search("--dataset=mnist", "--select=magnitude").variant.select == "magnitude"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--method=darts", "--gamma_entropy=1"],
            "gamma_entropy is not read by method=darts, only by vinnas:",
        ),
        (["--method=random", "--epochs=3"], "epochs is not read by method=random"),
        (["--method=vinnas_joint", "--novariational"], "variational is not read by method=vinnas_joint"),
    ],
)
def test_a_flag_that_the_chosen_method_does_not_read_is_refused(argv, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_search(*argv)
    (tmp_path / "my.flags").write_text("\n".join(argv))
    with pytest.raises(UserError, match=message):
        read_search(f"--flagfile={tmp_path / 'my.flags'}")


def test_a_refusal_of_a_flag_speaks_of_the_preset_only_where_that_chose_the_method(tmp_path, monkeypatch):
    note = "Flags that were not given come from preset"
    for argv in (["--method=darts", "--gamma_entropy=1"], ["--darts_order=2"]):
        with pytest.raises(UserError, match="is not read by") as caught:
            read_search(*argv)
        assert note not in str(caught.value)
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "chosen.flags").write_text("# A preset with a method.\n--method=darts\n")
    monkeypatch.setattr(define, "_PRESETS", tmp_path)
    with pytest.raises(UserError, match=f"gamma_entropy is not read by method=darts.* {note} chosen") as caught:
        read_search("--preset=chosen", "--gamma_entropy=1")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=f"darts_order must be 1 or 2, got 3. {note} chosen"):
        read_search("--preset=chosen", "--darts_order=3")


def test_a_preset_may_hold_what_only_other_methods_read():
    assert "--gamma_entropy" in " ".join(preset_text("digits"))
    assert read_search("--preset=digits", "--method=darts")[SearchConfig].method == "darts"


def preset_text(name):
    return (importlib.resources.files("vinnas_tf.flags") / "presets/search" / f"{name}.flags").read_text().splitlines()


def test_given_flags_are_those_of_the_command_line_alone():
    flags = given_flags(["--epochs", "3", "--novariational"], DataConfig, SearchConfig, variants=method_variants())
    assert flags == {"epochs": "--epochs=3", "variational": "--variational=False"}
