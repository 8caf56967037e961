"""The stages of a run one after the other, each as its own command: search, training, export."""
