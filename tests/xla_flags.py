"""What XLA is told in tests, here and in the processes that tests start."""

from __future__ import annotations

from importlib.metadata import version

# Nearly all the time of these tiny programs is their compilation, which takes a quarter of it so.
QUICK = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):  # newer ones know no other emitters
    QUICK += " --xla_cpu_use_fusion_emitters=false"


def devices(count: int) -> str:
    """So many fake devices."""
    return f"--xla_force_host_platform_device_count={count}"
