"""Kills each command at each of its writes, and sees that the same command ends with the same results."""
