"""The trained and the exported run that all tests of the export look at."""

import pytest

from tests.export.digits_run import Exported, Trained, command, train_and_prune, write_run


@pytest.fixture(scope="session")
def trained() -> Trained:
    return train_and_prune()


@pytest.fixture(scope="session")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    run_dir = tmp_path_factory.mktemp("runs") / "digits"
    write_run(run_dir, trained)
    done = command("vinnas_tf.export", f"--run_dir={run_dir}")
    assert done.returncode == int("FAILED" in done.stdout), done.stdout + done.stderr
    return Exported(run_dir, done.stdout)
