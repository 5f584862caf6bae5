"""The processes of a server: one alone, or workers under a supervisor."""
