"""What the tests that hold gradients to those of a peer share."""

import numpy as np


class GradientRecorder:
    """Takes an optimizer's place, and keeps the gradients, by their variable's `id`, instead of applying them."""

    def apply(self, gradients, variables):
        self.gradients = {id(v): np.array(g) for g, v in zip(gradients, variables, strict=True)}
