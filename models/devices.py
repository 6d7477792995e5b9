"""Where a model runs, in which precision, and telling a failing device from a failing text."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.errors import DeviceError

# What PyTorch says without a type of its own when memory or the accelerator gives out.
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "can't start new thread",
    "CUDA error",
    "CUDNN_STATUS",
    "CUBLAS_STATUS",
    "NVML",
    "HIP error",
)


def pick(device: str | None = None) -> torch.device:
    """`device`, or else the first visible CUDA GPU, or else the CPU."""
    if device is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise DeviceError(f"there is no device {device!r}; say cpu, cuda or cuda:0") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r} is asked for, but this process sees no CUDA GPU; check the driver")
    return chosen


def is_bf16_fast(device: torch.device) -> bool:
    """Whether bfloat16 saves time there: on GPUs since Ampere, and on CPUs with instructions for it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # On a CPU without instructions for it PyTorch emulates bfloat16 and is slower than in float32.
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turns failures of memory and accelerator while `doing` into DeviceError; lets all others pass."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError, MemoryError) as error:
        raise DeviceError(_message(doing, error)) from None
    except RuntimeError as error:
        if any(sign.lower() in str(error).lower() for sign in _SIGNS):
            raise DeviceError(_message(doing, error)) from None
        raise


def _message(doing: str, error: BaseException) -> str:
    reason = (str(error).splitlines() or [""])[0][:200]
    return f"the device gave out while {doing} ({type(error).__name__}: {reason}); free memory or use another device"
