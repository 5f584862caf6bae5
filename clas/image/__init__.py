"""From image files to pixels to model input."""
