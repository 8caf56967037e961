"""The found network: built, measured, pruned and stripped."""
