from __future__ import annotations

import pytest
from scipy import stats

from pytest_upskill.verdicts.quantiles import (
    beta_quantile,
    normal_quantile,
    poisson_quantile,
    t_quantile,
)

CONFIDENCES = [0.5, 0.8, 0.9, 0.95, 0.99, 0.999]


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 21, 100, 1001, 10_000])
@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_t_quantile_is_scipys(confidence: float, degrees: int) -> None:
    assert t_quantile(confidence, degrees) == pytest.approx(
        stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-9
    )


@pytest.mark.parametrize("count", [1, 2, 3, 10])
@pytest.mark.parametrize("probability", [0.001, 0.01, 0.05, 0.1, 0.5, 0.95])
def test_poisson_quantile_is_half_of_scipys_chi_square(count: int, probability: float) -> None:
    expected = 0.5 * stats.chi2.ppf(probability, 2 * count)
    assert poisson_quantile(count, probability) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shapes", [(1, 1), (1, 20), (20, 1), (3, 8), (0.5, 0.5), (500, 0.5), (400, 601)])
@pytest.mark.parametrize("probability", [0.005, 0.025, 0.05, 0.5, 0.975])
def test_beta_quantile_is_scipys(probability: float, shapes: tuple[float, float]) -> None:
    assert beta_quantile(probability, *shapes) == pytest.approx(
        stats.beta.ppf(probability, *shapes), rel=1e-9
    )


@pytest.mark.parametrize("confidence", [-1.0, 0.0, 1.0, 95.0])
def test_a_confidence_outside_0_and_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        normal_quantile(confidence)
