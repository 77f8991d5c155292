"""Training by several processes, each with its part of weights, gradients and Adam's states, in files."""

from shoal.learn.adam import Adam
from shoal.learn.partitioned import Trained, prepare, train, weights
from shoal.learn.whole import train_whole

__all__ = ["Adam", "Trained", "prepare", "train", "train_whole", "weights"]
