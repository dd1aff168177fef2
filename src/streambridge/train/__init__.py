"""Training of the gate and the backbone from recipes."""
