"""Exceptions of clas_system.

    ClasError
      StartupError            the service can't start
        SettingsError
        ModelNotFoundError
        ModelLoadError
          ModelChangedError   (on a reload, while serving)
          ModelLostError      (the standalone server only)
        ModelConfigError
        EncryptedModelError
        LabelFileError
        DeviceError           (in a forked worker also while serving)
      RequestError            the request is invalid
        ImageError            one image is invalid; the others are answered
        UnauthorizedError     401  \
        NotFoundError         404   |
        MethodError           405   |
        SlowRequestError      408   |  the standalone server only; PaddleHub has its own answers to these
        ModelControlError     409   |
        TooLargeError         413   |
        MediaTypeError        415   |
        TransferCodingError   501   |
        UnsupportedError      501  /
      PredictionError         the model failed on a valid request
      UnavailableError        503: temporary; the same request may succeed later

Each class carries the two codes that it is reported with: `status`, the code in PaddleHub's envelope, and
`http_status`. The message is one line that names the field, its value and the remedy, without a traceback.
"""


class ClasError(Exception):
    """Base class of all exceptions that clas_system raises deliberately."""

    status = "101"
    http_status = 500


class StartupError(ClasError):
    """Raised when the service can't start."""


class SettingsError(StartupError):
    """Raised for an unknown, missing or invalid setting in params.py, init_args or a flag."""


class ModelNotFoundError(StartupError):
    """Raised when no directory with a program and its weights is found."""


class ModelLoadError(StartupError):
    """Raised when the model files are damaged, or not those of an image classifier."""


class ModelChangedError(ModelLoadError):
    """Raised when the model is to be loaded again, and its files hold something else than before."""


class ModelLostError(ModelLoadError):
    """Raised when the process that loads a model dies, or doesn't come to an end."""


class ModelConfigError(StartupError):
    """Raised when the model's inference.yml can't be read, is invalid, or uses an unsupported operation."""


class EncryptedModelError(StartupError):
    """Raised when a model is encrypted and can't be decrypted, or isn't and should be."""


class LabelFileError(StartupError):
    """Raised when the label file is missing, unreadable or malformed."""


class DeviceError(StartupError):
    """Raised when the configured device or precision isn't available."""


class RequestError(ClasError):
    """Raised for an unknown, missing or invalid field of a request."""

    http_status = 400


class ImageError(RequestError):
    """Raised when one image can't be decoded or preprocessed."""


class UnauthorizedError(RequestError):
    """Raised when the server requires a token, and the request has no valid one."""

    http_status = 401


class NotFoundError(RequestError):
    """Raised for an unknown path."""

    http_status = 404


class MethodError(RequestError):
    """Raised for a method that the path doesn't support."""

    http_status = 405


class SlowRequestError(RequestError):
    """Raised when the request isn't received completely before its deadline."""

    http_status = 408


class ModelControlError(RequestError):
    """Raised when a model can't be loaded on request."""

    http_status = 409


class TooLargeError(RequestError):
    """Raised when a request exceeds a size limit of the server."""

    http_status = 413


class MediaTypeError(RequestError):
    """Raised for an unsupported content type or content encoding."""

    http_status = 415


class TransferCodingError(RequestError):
    """Raised for a transfer coding other than chunked."""

    http_status = 501


class UnsupportedError(RequestError):
    """Raised for what this server doesn't do where it runs."""

    http_status = 501


class PredictionError(ClasError):
    """Raised when the model fails on a valid batch, or returns an invalid result for it."""


class UnavailableError(ClasError):
    """Raised while the server is starting, stopping or overloaded."""

    http_status = 503
