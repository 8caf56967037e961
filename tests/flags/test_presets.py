"""The presets: which there are, and that those of a paper have the values that the paper prints."""

import pytest

from vinnas_tf.config import DataConfig, RunConfig, SearchConfig, TrainConfig
from vinnas_tf.flags import Settings, preset_names, read_flags
from vinnas_tf.methods import method_variants
from vinnas_tf.optimizer import MOMENTUM

SHARED = (
    "bayesnas", "cifar10", "cifar10_darts", "cifar10_laptop", "cifar10_v1", "darts_small", "digits", "fashion_mnist",
    "fashion_mnist_laptop", "fashion_mnist_v1", "mnist", "nasbench201", "own_images", "si_vdnas", "smoke",
    "tree_pyramid", "tree_pyramid_small",
)  # fmt: skip
OF_PGNAS = ("pgnas_d121", "pgnas_e", "pgnas_ei", "pgnas_m", "pgnas_mi", "pgnas_r50", "pgnas_small")
PRESETS = {
    "search": tuple(sorted((*SHARED, *OF_PGNAS))),
    "train": tuple(sorted((*SHARED, "cifar100_darts", "imagenet_mobile", "mnist_laptop"))),
}
# Those that name no data set, or are not named after theirs.
OTHERWISE_NAMED = (
    "bayesnas", "darts_small", "nasbench201", "own_images", "si_vdnas", "smoke", "tree_pyramid", "tree_pyramid_small",
    *OF_PGNAS,
)  # fmt: skip


def read_search(*argv: str) -> Settings:
    return read_flags(argv, DataConfig, SearchConfig, command="search", usage="", variants=method_variants())


def read_train(*argv: str) -> Settings:
    return read_flags(argv, DataConfig, TrainConfig, RunConfig, command="train", usage="")


def test_presets_on_disk_are_the_presets_offered(repository):
    for command, presets in PRESETS.items():
        files = [path.stem for path in (repository / "flags" / "presets" / command).iterdir()]
        assert preset_names(command) == sorted(files) == list(presets)


@pytest.mark.parametrize("preset", PRESETS["search"])
def test_a_preset_of_the_search(preset):
    settings = read_search(f"--preset={preset}")
    assert settings.preset == preset
    assert preset in OTHERWISE_NAMED or preset.startswith(settings[DataConfig].dataset)


@pytest.mark.parametrize("preset", PRESETS["train"])
def test_a_preset_of_the_training(preset):
    dataset = read_train(f"--preset={preset}")[DataConfig].dataset
    assert preset in OTHERWISE_NAMED or preset.startswith(dataset.removesuffix("2012"))


# What VINNAS prints (section V-A of the paper and of its first version): skeleton, states, share of the data, epochs,
# batch size, augmentation.
CROP_FLIP_ERASE = ("crop", "flip", "erase")
SEARCHED = {
    "mnist": ("mnist", "R", 2, 0.25, 20, 256, ()),
    "fashion_mnist": ("fashion_mnist", "NNRNNRNN", 3, 0.5, 50, 256, CROP_FLIP_ERASE),
    "fashion_mnist_v1": ("fashion_mnist", "NRRN", 3, 0.5, 50, 256, CROP_FLIP_ERASE),
    "cifar10": ("cifar10", "NNRNNRNN", 4, 0.5, 100, 256, CROP_FLIP_ERASE),
    "cifar10_v1": ("cifar10", "NNRNNRNN", 4, 0.5, 100, 256, CROP_FLIP_ERASE),
}


@pytest.mark.parametrize("preset", SEARCHED)
def test_vinnas_searches_as_its_paper_prints(preset):
    settings = read_search(f"--preset={preset}")
    data, search = settings[DataConfig], settings[SearchConfig]
    found = (data.dataset, search.cells, search.states, data.data_fraction, search.epochs, search.batch_size)
    assert (*found, data.augment) == SEARCHED[preset]


# What VINNAS prints of its retraining (section V-A b): skeleton, epochs, augmentation, channels as a multiple of the
# search's.
RETRAINED = {
    "mnist": ("R", 100, (), None),
    "fashion_mnist": ("NNRNNRNN", 400, CROP_FLIP_ERASE, 6.4),
    "fashion_mnist_v1": ("NRRN", 400, CROP_FLIP_ERASE, 4),
    "cifar10": ("NNNNNNRNNNNNNRNNNNNN", 600, CROP_FLIP_ERASE, 3),
    "cifar10_v1": ("NNNNNNRNNNNNNRNNNNNN", 600, CROP_FLIP_ERASE, 2.5),
}


@pytest.mark.parametrize("preset", RETRAINED)
def test_vinnas_retrains_as_its_paper_prints(preset):
    settings = read_train(f"--preset={preset}")
    data, train = settings[DataConfig], settings[TrainConfig]
    cells, epochs, augment, factor = RETRAINED[preset]
    assert (train.cells, train.epochs, data.augment) == (cells, epochs, augment)
    if factor:
        channels = read_search(f"--preset={preset}")[SearchConfig].channels
        assert train.channels == factor * channels
        assert float(factor * channels).is_integer()


# Of both DARTS (appendix A.1, and its program) and SI-VDNAS (section 4.2).
BILEVEL = {
    "space": "darts", "stem": "cifar", "cells": "NNRNNRNN", "states": 4, "channels": 16, "epochs": 50, "batch_size": 64,
    "weight_optimizer": "sgd", "weight_learning_rate": 0.025, "final_weight_learning_rate": 0.001, "weight_decay": 3e-4,
    "weight_clip_norm": 5.0, "alpha_beta_1": 0.5, "alpha_decay": 1e-3, "label_smoothing": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "own"),
    [
        ("cifar10_darts", {"weight_epochs": 0, "alpha_learning_rate": 3e-4}),
        ("si_vdnas", {"method": "si_vdnas", "weight_epochs": 15, "alpha_learning_rate": 6e-4}),
    ],
)
def test_darts_and_si_vdnas_search_as_their_papers_print(preset, own):
    settings = read_search(f"--preset={preset}")
    data, expected = settings[DataConfig], {**BILEVEL, **own}
    assert (data.dataset, data.data_fraction, data.image_size, data.augment) == ("cifar10", 1.0, 0, ("crop", "flip"))
    assert {name: getattr(settings[SearchConfig], name) for name in expected} == expected
    assert MOMENTUM == 0.9


def test_bayesnas_searches_and_trains_as_its_paper_prints():
    settings = read_search("--preset=bayesnas")
    expected = {
        "method": "bayesnas", "space": "darts", "cells": "NNRNNRNN", "batch_size": 18, "epochs": 2, "weight_epochs": 1,
        "weight_optimizer": "sgd", "weight_learning_rate": 0.1, "final_weight_learning_rate": 0.1,
        "alpha_learning_rate": 0.1,
    }  # fmt: skip
    assert {name: getattr(settings[SearchConfig], name) for name in expected} == expected
    assert (settings.variant.switch_penalty, settings.variant.updates) == (0.01, 1)
    train = read_train("--preset=bayesnas")[TrainConfig]
    assert (train.cells, train.batch_size) == ("NNNNNNRNNNNNNRNNNNNN", 128)


def test_bayesnas_searches_and_trains_trees_as_its_paper_prints():
    settings = read_search("--preset=tree_pyramid")
    stages = "N" * 18 + "R" + "N" * 17 + "R" + "N" * 17
    expected = {
        "method": "bayesnas", "space": "tree_pyramid", "cells": stages, "states": 12, "channels": 84, "batch_size": 32,
        "weight_optimizer": "sgd", "weight_learning_rate": 0.1, "final_weight_learning_rate": 0.1,
        "alpha_learning_rate": 0.1,
    }  # fmt: skip
    assert {name: getattr(settings[SearchConfig], name) for name in expected} == expected
    assert (settings.variant.switch_penalty, settings.variant.updates) == (0.01, 1)
    train = read_train("--preset=tree_pyramid")
    expected = {"cells": stages, "channels": 84, "batch_size": 64, "optimizer": "sgd", "learning_rate": 0.1}
    assert {name: getattr(train[TrainConfig], name) for name in expected} == expected
    assert train[DataConfig].augment == ("crop", "flip", "cutout")


@pytest.mark.parametrize("method", ["darts", "vinnas", "vinnas_joint", "random"])
@pytest.mark.parametrize("preset", ["cifar10_darts", "darts_small"])
def test_the_presets_of_the_space_darts_leave_the_method_open(preset, method):
    settings = read_search(f"--preset={preset}", f"--method={method}")
    assert (settings[SearchConfig].method, settings[SearchConfig].space) == (method, "darts")


# Of SI-VDNAS (section 4.3); smoothing and the tower's weight are those of DARTS's program.
TRAINED = {
    "stem": "cifar", "cells": "NNNNNNRNNNNNNRNNNNNN", "channels": 36, "epochs": 600, "batch_size": 96, "held_out": 0.0,
    "optimizer": "sgd", "learning_rate": 0.025, "warm_up_epochs": 0, "schedule": "cosine", "final_learning_rate": 0.0,
    "weight_decay": 3e-4, "clip_norm": 5.0, "label_smoothing": 0.0, "drop_path": 0.3, "auxiliary_weight": 0.4,
    "variational": False,
}  # fmt: skip
MOBILE = {
    "stem": "imagenet", "cells": "NNNNRNNNNRNNNN", "channels": 48, "epochs": 250, "batch_size": 1024,
    "learning_rate": 0.5, "warm_up_epochs": 5, "schedule": "linear", "weight_decay": 3e-5, "label_smoothing": 0.1,
    "drop_path": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "own"),
    [("cifar10_darts", {}), ("cifar100_darts", {"weight_decay": 5e-4}), ("imagenet_mobile", MOBILE)],
)
def test_si_vdnas_trains_as_its_paper_prints(preset, own):
    train, expected = read_train(f"--preset={preset}")[TrainConfig], {**TRAINED, **own}
    assert {name: getattr(train, name) for name in expected} == expected


def test_what_si_vdnas_found_is_trained_alike_under_the_name_of_its_search():
    ours, other = (read_train(f"--preset={name}") for name in ("si_vdnas", "cifar10_darts"))
    assert ours[TrainConfig] == other[TrainConfig]
    assert ours[DataConfig] == other[DataConfig]
    assert ours[DataConfig].augment == ("crop", "flip", "cutout")


# Of PGNAS (supplement, section 3 and table 4): backbone, width; images; epochs, batch, optimizer, learning rates; l^2.
SUPERNETWORKS = {
    "pgnas_m": ("multi_branch_resnet", 96, "cifar10", 1800, 128, "sgd", (0.01, 0.0), 50.0),
    "pgnas_mi": ("multi_branch_resnet", 160, "cifar10", 1800, 128, "sgd", (0.01, 0.0), 150.0),
    "pgnas_e": ("enas", 36, "cifar10", 630, 144, "sgd", (0.05, 1e-4), 0.1),
    "pgnas_ei": ("enas", 72, "cifar10", 630, 72, "sgd", (0.05, 1e-4), 0.1),
    "pgnas_r50": ("multi_branch_resnet50", 64, "imagenet2012", 90, 256, "nesterov", (0.1, 0.0), 80.0),
    "pgnas_d121": ("densenet121", 32, "imagenet2012", 180, 300, "nesterov", (0.1, 0.0), 100.0),
}
SCHEDULES = {
    "pgnas_e": ("restarts", (10,)),
    "pgnas_ei": ("restarts", (10,)),
    "pgnas_r50": ("steps", (30, 60)),
    "pgnas_d121": ("steps", (90, 140, 160)),
}


@pytest.mark.parametrize("preset", SUPERNETWORKS)
def test_pgnas_searches_as_its_paper_prints(preset):
    settings = read_search(f"--preset={preset}")
    search, own = settings[SearchConfig], settings.variant
    backbone, width, dataset, epochs, batch, optimizer, rates, precision = SUPERNETWORKS[preset]
    assert (own.backbone, own.backbone_width, settings[DataConfig].dataset) == (backbone, width, dataset)
    assert own.backbone_blocks == ()  # As published.
    assert (search.epochs, search.batch_size, search.weight_optimizer) == (epochs, batch, optimizer)
    assert (search.weight_learning_rate, search.final_weight_learning_rate) == rates
    assert (search.weight_schedule, search.weight_schedule_epochs) == SCHEDULES.get(preset, ("cosine", ()))
    assert (own.prior_precision, own.temperature, own.candidates, search.weight_decay) == (precision, 0.2, 1500, 0.0)
