"""Reads the folder of an exported model."""
