"""GPUs that are not here: JAX's CUDA plugin compiles for a description of one (extra `cuda`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from jax.experimental import topologies

from bertjax.plan.topology import GPU_SHARE, Topology


@dataclass(frozen=True)
class Processor:
    """What decides how XLA tiles and fuses: NVIDIA's data sheets and CUDA programming guide."""

    capability: str  # compute capability
    multiprocessors: int
    float32_units: int  # of a multiprocessor
    shared_memory: int  # bytes of a multiprocessor; a block can have 1 KiB less
    cache: int  # bytes of L2
    clock: float  # GHz


_HOPPER = Processor("9.0", 132, 128, 228 << 10, 50 << 20, 1.98)
PROCESSORS = {
    "a100": Processor("8.0", 108, 64, 164 << 10, 40 << 20, 1.41),
    "h100": _HOPPER,
    "h200": _HOPPER,
}


def can_compile() -> bool:
    """Whether JAX's CUDA plugin is installed; neither a GPU nor a driver is asked for."""
    return any(plugin.name.startswith("xla_cuda") for plugin in entry_points(group="jax_plugins"))


def devices(topology: Topology) -> list[Any]:
    """The GPUs of one host, to compile for."""
    layout = f"1x1x{math.prod(topology.shape)}"  # hosts that share memory × hosts × GPUs
    target = _target(topology)
    return topologies.get_topology_desc(
        platform="cuda", target_config=target, topology=layout
    ).devices


def _target(topology: Topology) -> str:
    """The GPU as the text of a `GpuTargetConfigProto` (openxla/xla stream_executor).

    CUDA and cuDNN are the oldest that the plugins of jax 0.10 to 0.12 come with.
    """
    chip, processor = topology.chip, PROCESSORS[topology.chip.name]
    major, minor = processor.capability.split(".")
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: {processor.shared_memory - 1024}
  shared_memory_per_core: {processor.shared_memory}
  threads_per_core_limit: 2048
  core_count: {processor.multiprocessors}
  fpus_per_core: {processor.float32_units}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {chip.memory_bandwidth:.0f}
  l2_cache_size: {processor.cache}
  clock_rate_ghz: {processor.clock}
  device_memory_size: {chip.memory / GPU_SHARE:.0f}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
runtime_version {{ major: 12 minor: 8 }}
device_description_str: "{chip.device_kind}"
"""
