"""Which families of packages conda-forge and PyPI have for Linux or CUDA alone (pure)."""

from __future__ import annotations

import re

_CUDA = re.compile(
    r"cuda-.*|cudnn|cupy.*|pycuda|nccl|nvtx|nvcomp|tensorrt.*|(lib)?magma.*|flash-attn.*|xformers|vllm|"
    r"lib(cu(dnn|dss|blas|fft|file|rand|sparse|solver|objclient).*|npp.*|nv(comp|fatbin|jitlink|jpeg).*)|"
    r"(faiss|onnxruntime|tensorflow)-gpu.*|jax-cuda.*|nvidia-(?!ml-py).*|dali-.*|apex|gds-tools|nsight-compute"
)
_LINUX = re.compile(
    r".*[_-]linux-(64|aarch64)|_libgcc_mutex|lib(gcc|stdcxx|gfortran)-ng|libgomp|"
    r"lib(acl|aio|attr|cap|drm|e?gl|glvnd|glx|numa|nsl|opengl|udev1?|systemd0|uuid|xcrypt)|gdb|patchelf"
)


def target_of(name: str, *, pytorch: bool) -> str:
    """Return `cuda` (with PyTorch alone) or `linux` where a package is built for nothing else."""
    if _CUDA.fullmatch(name):
        return "cuda" if pytorch else "linux"
    return "linux" if _LINUX.fullmatch(name) else ""
