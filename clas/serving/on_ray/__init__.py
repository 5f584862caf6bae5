"""The application on Ray Serve."""
