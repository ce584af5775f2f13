"""Training on color photographs, in plain torch."""
