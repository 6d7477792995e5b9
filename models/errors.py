"""What can go wrong with a model. Messages name the thing and the way out, never a report's text."""


class ModelError(Exception):
    """Root of everything `models/` raises on purpose."""


class ArtifactError(ModelError):
    """The model's files are missing, incomplete or altered: the environment's fault, not a report's."""


class FoundationError(ModelError):
    """What was given as a foundation cannot serve as one."""


class DeviceError(ModelError):
    """Memory or the accelerator gave out: the environment's fault, not a report's."""


class ReadingError(ModelError):
    """The model cannot read this text, and will not be able to when asked again."""


def first_line(error: BaseException) -> str:
    """What a library's error says, short enough to stand in a message of ours; its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
