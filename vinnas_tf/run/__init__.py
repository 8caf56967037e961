"""Run folders, files, checkpoints and processes."""
