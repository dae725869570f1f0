"""Total scattering: from detector images and powder patterns to the pair distribution function."""

from .adhoc import pair_distribution, reduce_many
from .compare import Agreement, agreement, rw
from .config import PDFConfig
from .crystal import CRYSTALS, Crystal
from .data import (
    Geometry,
    Intensity,
    PairDistribution,
    Pattern,
    PDFResult,
    ReducedStructureFunction,
    StructureFunction,
)
from .geometry import read_poni, write_poni
from .integration import integrate
from .io import read_config, read_gr, read_pattern, write_fq, write_gr, write_iq, write_sq
from .model import CrystalFit, crystal_gr, fit_crystal
from .orientation import orientation_check
from .simulate import simulate_exposure
from .workflows import reduce, reduce_image

__all__ = [
    "CRYSTALS",
    "Agreement",
    "Crystal",
    "CrystalFit",
    "Geometry",
    "Intensity",
    "PDFConfig",
    "PDFResult",
    "PairDistribution",
    "Pattern",
    "ReducedStructureFunction",
    "StructureFunction",
    "agreement",
    "crystal_gr",
    "fit_crystal",
    "integrate",
    "orientation_check",
    "pair_distribution",
    "read_config",
    "read_gr",
    "read_pattern",
    "read_poni",
    "reduce",
    "reduce_image",
    "reduce_many",
    "rw",
    "simulate_exposure",
    "write_fq",
    "write_gr",
    "write_iq",
    "write_poni",
    "write_sq",
]
