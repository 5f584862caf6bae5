"""The queue in front of the model, and the predictors behind it."""
