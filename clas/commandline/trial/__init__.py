"""What `tune`, `check` and `convert` share: engines run on trial, and their scores compared."""
