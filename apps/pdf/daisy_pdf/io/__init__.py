"""Readers and writers of the formats of total scattering."""

from .gr import read_config, read_gr, write_fq, write_gr, write_iq, write_sq
from .patterns import read_pattern

__all__ = ["read_config", "read_gr", "read_pattern", "write_fq", "write_gr", "write_iq", "write_sq"]
