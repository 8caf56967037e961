import dataclasses

import pytest

from vinnas_tf.config import CompareConfig, DataConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods.darts import DartsSettings
from vinnas_tf.methods.vinnas import VinnasSettings
from vinnas_tf.methods.vinnas_joint import VinnasJointSettings


@pytest.mark.parametrize(
    ("config", "field", "bad", "good"),
    [
        (DataConfig, "dataset", "", "mnist"),
        (DataConfig, "data_fraction", 0.0, 1e-6),
        (DataConfig, "data_fraction", 1.01, 1.0),
        (DataConfig, "data_fraction", float("nan"), 0.5),
        (DataConfig, "image_size", 7, 8),
        (DataConfig, "image_size", -1, 0),
        (VinnasSettings, "estimator", "lrt", "weight_sampling"),
        (TrainConfig, "estimator", "", "weight_sampling"),
        (DataConfig, "framing", "centre", "stretch"),
        (DataConfig, "augment", ("flip", "mixup"), ("flip", "crop", "erase")),
        (SearchConfig, "cells", "", "R"),
        (SearchConfig, "cells", "NRn", "NRRN"),
        (VinnasSettings, "select", "best", "magnitude"),
        (SearchConfig, "states", 0, 1),
        (SearchConfig, "channels", 0, 1),
        (SearchConfig, "epochs", 0, 3),
        (SearchConfig, "batch_size", 1, 2),
        (SearchConfig, "weight_learning_rate", 0.0, 1e-9),
        (VinnasSettings, "log_variance_rate", -1.0, 0.1),
        (SearchConfig, "alpha_learning_rate", float("nan"), 1.0),
        (SearchConfig, "weight_optimizer", "adamw", "sgd"),
        (SearchConfig, "final_weight_learning_rate", 0.011, 0.01),
        (SearchConfig, "final_weight_learning_rate", -1e-9, 0.001),
        (SearchConfig, "weight_decay", -3e-4, 3e-4),
        (SearchConfig, "weight_clip_norm", -5.0, 5.0),
        (SearchConfig, "alpha_decay", float("nan"), 1e-3),
        (SearchConfig, "alpha_beta_1", 1.0, 0.5),
        (VinnasSettings, "gamma_weights", -0.1, 0.0),
        (VinnasSettings, "gamma_alphas", float("nan"), 0.0),
        (VinnasSettings, "gamma_entropy", -1.0, 2.0),
        (SearchConfig, "weight_epochs", 20, 19),
        (VinnasJointSettings, "gamma_alphas", -1.0, 0.0),
        (DartsSettings, "darts_order", 3, 2),
        (SearchConfig, "label_smoothing", 1.0, 0.0),
        (SearchConfig, "seed", 2**31, 2**31 - 1),
        (TrainConfig, "cells", "NXR", "NRN"),
        (TrainConfig, "stem_stride", 3, 2),
        (TrainConfig, "stem", "none", "imagenet"),
        (SearchConfig, "stem", "none", "cifar"),
        (TrainConfig, "channels", 0, 1),
        (TrainConfig, "epochs", 0, 26),
        (TrainConfig, "batch_size", 1, 2),
        (TrainConfig, "learning_rate", 0.0, 1e-9),
        (TrainConfig, "log_variance_rate", float("nan"), 0.1),
        (TrainConfig, "optimizer", "", "sgd"),
        (TrainConfig, "schedule", "step", "linear"),
        (SearchConfig, "weight_schedule", "exponential", "linear"),
        (TrainConfig, "final_learning_rate", 0.011, 0.01),
        (TrainConfig, "final_learning_rate", float("nan"), 0.001),
        (TrainConfig, "warm_up_epochs", 50, 49),
        (TrainConfig, "warm_up_epochs", -1, 0),
        (TrainConfig, "weight_decay", -3e-4, 3e-4),
        (TrainConfig, "clip_norm", -5.0, 5.0),
        (TrainConfig, "gamma_weights", -0.1, 0.0),
        (TrainConfig, "gamma_start_epoch", 26, 25),
        (TrainConfig, "gamma_end_epoch", 50, 49),
        (TrainConfig, "label_smoothing", 1.0, 0.0),
        (TrainConfig, "drop_path", 1.0, 0.3),
        (TrainConfig, "auxiliary_weight", -0.4, 0.4),
        (TrainConfig, "held_out", 1.0, 0.0),
        (TrainConfig, "fine_tuning_epochs", -1, 1),
        (TrainConfig, "seed", -1, 0),
        (CompareConfig, "methods", ("vinnas", "vinnas"), ("vinnas", "vinnas-magnitude")),
        (CompareConfig, "seeds", 0, 1),
        (CompareConfig, "first_seed", -1, 100),
        (CompareConfig, "search", "--cells='NR", "--cells='NR' --epochs=3"),
        (CompareConfig, "train", '--augment="', "--augment=crop,flip"),
    ],
)
def test_range_of_a_setting(config, field, bad, good):
    assert getattr(config(**{field: good}), field) == good
    with pytest.raises(UserError) as caught:
        config(**{field: bad})
    message = str(caught.value)
    assert message.startswith(field) or f" {field}" in message
    assert "\n" not in message


@pytest.mark.parametrize(("config", "name"), [(TrainConfig, "schedule"), (SearchConfig, "weight_schedule")])
@pytest.mark.parametrize(
    ("shape", "bad", "good", "said"),
    [
        ("cosine", (10,), (), "_epochs is not read by {}=cosine, only by steps, restarts: leave it out"),
        ("steps", (), (10, 40), "_epochs must rise between 0 and epochs=50, such as 30,60, with {}=steps, got none"),
        (
            "steps",
            (10, 10),
            (10,),
            "_epochs must rise between 0 and epochs=50, such as 30,60, with {}=steps, got 10,10",
        ),
        (
            "steps",
            (20, 10),
            (10,),
            "_epochs must rise between 0 and epochs=50, such as 30,60, with {}=steps, got 20,10",
        ),
        (
            "steps",
            (10, 50),
            (49,),
            "_epochs must rise between 0 and epochs=50, such as 30,60, with {}=steps, got 10,50",
        ),
        ("steps", (0, 10), (1,), "_epochs must rise between 0 and epochs=50, such as 30,60, with {}=steps, got 0,10"),
        ("restarts", (), (10,), "_epochs must be one number, of at least 1, with {}=restarts, got none"),
        ("restarts", (10, 20), (60,), "_epochs must be one number, of at least 1, with {}=restarts, got 10,20"),
        ("restarts", (0,), (1,), "_epochs must be one number, of at least 1, with {}=restarts, got 0"),
    ],
)
def test_the_epochs_of_a_schedule(config, name, shape, bad, good, said):
    shared = {"epochs": 50, name: shape}
    assert getattr(config(**shared, **{f"{name}_epochs": good}), f"{name}_epochs") == good
    with pytest.raises(UserError) as caught:
        config(**shared, **{f"{name}_epochs": bad})
    assert str(caught.value).startswith(f"{name}{said.format(name)}")


def test_what_steps_leave_unread_is_refused():
    with pytest.raises(UserError, match="final_learning_rate is not read by schedule=steps: leave it out"):
        TrainConfig(schedule="steps", schedule_epochs=(10,), final_learning_rate=1e-4)
    with pytest.raises(UserError, match="schedule_epochs must rise between 5 and epochs=50"):
        TrainConfig(schedule="steps", schedule_epochs=(5,), warm_up_epochs=5)


@pytest.mark.parametrize(
    "config", [DataConfig, SearchConfig, TrainConfig, CompareConfig, VinnasSettings, VinnasJointSettings, DartsSettings]
)
def test_settings_are_frozen_and_every_one_has_a_help(config):
    resolved = config()
    for field in dataclasses.fields(config):
        assert field.metadata["help"].endswith("."), field.name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(resolved, field.name, getattr(resolved, field.name))
