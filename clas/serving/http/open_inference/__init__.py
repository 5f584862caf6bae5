"""The Open Inference Protocol, version 2, over REST, with the extensions of Triton that EXTENSIONS names."""
