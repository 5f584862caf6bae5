"""Every error of clas_system, in one tree.

    ClasError
      StartupError            the service can't start
        SettingsError
        ModelNotFoundError
        ModelLoadError
        ModelConfigError
        LabelFileError
        DeviceError           (in a forked worker also while serving)
      RequestError            the request can't be answered as it is
        ImageError            one image of it; its neighbours are answered
        UnauthorizedError     401  \
        NotFoundError         404   |
        MethodError           405   |
        SlowRequestError      408   |  the standalone server only; PaddleHub has its own words for them
        TooLargeError         413   |
        MediaTypeError        415  /
      PredictionError         the model failed on a valid request
      UnavailableError        503: not now; the same request may do later

Each class carries the two codes it is reported under: `status`, the code of PaddleHub's envelope, and
`http_status`. A message is one line that names what came and what is wanted; it holds no traceback.
"""


class ClasError(Exception):
    """Base of all errors that clas_system raises on purpose."""

    status = "101"
    http_status = 500


class StartupError(ClasError):
    """Raised while the service is being built; it ends the start."""


class SettingsError(StartupError):
    """Raised for an unknown, missing or unfit value in params.py, init_args or a flag."""


class ModelNotFoundError(StartupError):
    """Raised when no directory with the two model files is found."""


class ModelLoadError(StartupError):
    """Raised when the model files are there, but damaged or not an image classifier."""


class ModelConfigError(StartupError):
    """Raised when the inference.yml beside the model can't be read, or asks for what isn't there."""


class LabelFileError(StartupError):
    """Raised when the label file is missing, unreadable or malformed."""


class DeviceError(StartupError):
    """Raised when the GPU that was asked for can't be used."""


class RequestError(ClasError):
    """Raised when a request names a field wrongly or gives it an unfit value."""

    http_status = 400


class ImageError(RequestError):
    """Raised when one image can't be decoded or preprocessed."""


class UnauthorizedError(RequestError):
    """Raised when a request has no valid token, and the server wants one."""

    http_status = 401


class NotFoundError(RequestError):
    """Raised for a path that nothing is at."""

    http_status = 404


class MethodError(RequestError):
    """Raised for a method that isn't for this path."""

    http_status = 405


class SlowRequestError(RequestError):
    """Raised when a request wasn't received whole within its time."""

    http_status = 408


class TooLargeError(RequestError):
    """Raised when a request is larger than the server takes at all."""

    http_status = 413


class MediaTypeError(RequestError):
    """Raised for a content type or encoding that the server doesn't read."""

    http_status = 415


class PredictionError(ClasError):
    """Raised when the model fails on, or answers oddly to, a valid batch."""


class UnavailableError(ClasError):
    """Raised when the request can't be answered now: the server starts, stops, or has too much to do."""

    http_status = 503
