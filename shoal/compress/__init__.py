"""Networks made smaller: what formats lose, and what to do about it."""

from shoal.compress.theory import PAIRS, Contest, crossover, qsnr_floating, qsnr_integer

__all__ = ["PAIRS", "Contest", "crossover", "qsnr_floating", "qsnr_integer"]
