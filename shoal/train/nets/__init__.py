"""Small networks that any task fits, float or with their inner products binarised."""

from shoal.train.nets.contract import Net

__all__ = ["Net"]
