"""What the search step and its input cost, beside a plain PyTorch equivalent. Not part of the wheel."""
