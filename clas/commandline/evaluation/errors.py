"""The error of evaluations."""

from ...errors import ClasError


class EvaluationError(ClasError):
    """Raised when true classes can't be read, or figures can't be written; names the file, and the line."""
