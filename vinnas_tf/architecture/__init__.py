"""What a network can be: spaces, primitives, skeletons, found cells, and the posterior they are read off."""
