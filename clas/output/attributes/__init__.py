"""The attributes of PaddleClas, a class a kind of model."""
