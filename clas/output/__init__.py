"""From a model's scores to results."""
