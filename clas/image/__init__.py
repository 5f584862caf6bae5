"""From an image file to the model's input."""
