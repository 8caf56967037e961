"""From NumPy arrays to files for a device, through the library alone: searches, trains, exports and looks.

    python examples/digits.py

takes about a minute on two cores. The parts between the lines `# %%` are cells for an editor that knows them.
"""

# %% Images: uint8 [n, h, w] or [n, h, w, c], and whole numbers.
import numpy as np
from sklearn.datasets import load_digits

import vinnas_tf

digits = load_digits()
images, labels = (digits.images * (255 / 16)).astype(np.uint8), digits.target
order = np.random.default_rng(0).permutation(len(images))
train, test = order[:1000], order[1400:]

# %% Search. The first epochs train weights alone.
search = vinnas_tf.Search(
    method="vinnas_joint", cells="R", channels=8, epochs=4, weight_epochs=1, gamma_start_epoch=1, batch_size=32
)
found = search.fit(images[train], labels[train], verbose=1)
print(found.genotype.to_json())
found.save("digits/search")
vinnas_tf.draw_cells(found.genotype, found.edge_values, "digits/search/cells.png", "digits/search/cells.svg")

# %% Train, prune and strip: `trained.network` is a plain Keras model from pixels in 0..255 to logits.
network = vinnas_tf.build_network(found.genotype, cells="R", channels=8, image_shape=(8, 8, 1), classes=10)
training = vinnas_tf.Training(epochs=8, batch_size=32, gamma_start_epoch=1, gamma_end_epoch=6, gamma_weights=0.1)
trained = training.fit(network, images[train], labels[train], verbose=1)
print("test accuracy:", trained.evaluate(images[test], labels[test]).accuracy)

# %% Export: every file answers all the test images in a process of its own.
files = vinnas_tf.Exporter(formats=["tflite"]).write(trained, "digits/export", proof=(images[test], labels[test]))
print(files)
