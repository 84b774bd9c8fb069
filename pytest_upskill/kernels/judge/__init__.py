"""The judge: a process with PyTorch on the CPU that holds inputs, float64 reference and verdict, and no device."""

from __future__ import annotations

from pytest_upskill.kernels.judge.client import Judge
from pytest_upskill.kernels.judge.pool import JudgePool
from pytest_upskill.kernels.judge.wire import AnswerKind, Judgement, MadeAnswer, ProvesNothing

__all__ = ["AnswerKind", "Judge", "JudgePool", "Judgement", "MadeAnswer", "ProvesNothing"]
