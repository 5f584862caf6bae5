"""What the folder of an exported model says."""
