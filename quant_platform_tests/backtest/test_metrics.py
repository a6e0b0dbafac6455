"""Metrics against published figures, other libraries and definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quant_platform.backtest.metrics import (
    ANTIFRAGILE_LEAST,
    BESIDE,
    METRICS,
    Drawdown,
    Said,
    Stream,
    drawdown_table,
    falls,
    levels,
    metrics,
    newey_west_lags,
    worst_drawdown,
)
from quant_platform.errors import ContractError

DAYS = 500
RNG = np.random.default_rng(20240105)
MARKET = RNG.standard_t(5, DAYS) * 0.008 + 0.0003
OWN = 0.6 * MARKET + RNG.standard_t(4, DAYS) * 0.005 + 0.0002
FREE = np.full(DAYS, 0.02 / 252)
STREAM = Stream(OWN, 252, FREE, MARKET)


def told(stream: Stream) -> dict[str, Said]:
    return {said.figure: said for said in metrics(stream)}


def value(name: str, stream: Stream = STREAM) -> float:
    found = told(stream)[name]
    assert found.value is not None, found.note
    return found.value


def test_the_vector_of_empyrical() -> None:
    """Published for [nan, 1, 10, -4, 2, 3, 2, 1, -10] %; its NaN counts as a session at rest."""
    published = np.array([1, 10, -4, 2, 3, 2, 1, -10]) / 100
    deviation = published.std(ddof=1)
    assert deviation * math.sqrt(252) == pytest.approx(0.9136465400, abs=1e-10)
    assert published.mean() / deviation * math.sqrt(252) == pytest.approx(1.7238613962, abs=1e-10)
    padded = np.tile(published, 3)
    assert value("volatility", Stream(padded, 252)) == pytest.approx(
        padded.std(ddof=1) * math.sqrt(252)
    )
    rested = np.concatenate([[0.0], published])
    assert worst_drawdown(rested) == pytest.approx(-0.1)
    annual = METRICS["annual_return"][1](Stream(rested, 252))
    assert isinstance(annual, float)
    assert annual / 0.1 == pytest.approx(19.1359253732, abs=1e-10)
    calmar = METRICS["calmar"][1](Stream(rested, 252))
    assert calmar == pytest.approx(19.1359253732, abs=1e-10)


def test_the_definitions_written_out() -> None:
    """Each figure from its definition, session by session."""
    excess = [r - f for r, f in zip(OWN, FREE, strict=True)]
    mean = math.fsum(excess) / DAYS
    spread = math.sqrt(math.fsum((e - mean) ** 2 for e in excess) / (DAYS - 1))
    assert value("sharpe") == pytest.approx(mean / spread * math.sqrt(252))
    down = math.sqrt(math.fsum(min(e, 0.0) ** 2 for e in excess) / DAYS)
    assert value("sortino") == pytest.approx(mean / down * math.sqrt(252))
    account, peak, deepest = 1.0, 1.0, 0.0
    for r in OWN:
        account *= 1 + r
        peak = max(peak, account)
        deepest = min(deepest, account / peak - 1)
    assert value("max_drawdown") == pytest.approx(deepest)
    annual = account ** (252 / DAYS) - 1
    assert value("annual_return") == pytest.approx(annual)
    assert value("calmar") == pytest.approx(annual / -deepest)
    assert value("win_rate") == sum(r > 0 for r in OWN) / DAYS
    gains, losses = math.fsum(r for r in OWN if r > 0), math.fsum(-r for r in OWN if r < 0)
    assert value("profit_factor") == pytest.approx(gains / losses)
    worst = sorted(OWN)[: DAYS // 20]
    assert value("expected_shortfall") == pytest.approx(math.fsum(worst) / len(worst))
    assert value("hit_rate") == sum(r > b for r, b in zip(OWN, MARKET, strict=True)) / DAYS
    crash = sorted(range(DAYS), key=lambda i: MARKET[i])[: DAYS // 10]
    assert value("crisis_alpha") == pytest.approx(
        math.fsum(OWN[i] - MARKET[i] for i in crash) / len(crash)
    )


def test_moments_are_those_of_scipy() -> None:
    """Skew and raw kurtosis of the sample, 3 for a normal."""
    from scipy import stats

    assert value("skew") == pytest.approx(stats.skew(OWN))
    assert value("kurtosis") == pytest.approx(stats.kurtosis(OWN, fisher=False))


def test_the_market_line_is_that_of_statsmodels() -> None:
    """Beta, alpha and their errors, Newey and West's with the correction."""
    statsmodels = pytest.importorskip("statsmodels.api")
    lags = newey_west_lags(DAYS)
    assert lags == 5
    options = {"maxlags": lags, "use_correction": True}
    design = statsmodels.add_constant(MARKET - FREE)
    fit = statsmodels.OLS(OWN - FREE, design).fit(cov_type="HAC", cov_kwds=options)
    assert value("beta") == pytest.approx(fit.params[1], abs=1e-10)
    assert value("alpha") == pytest.approx(fit.params[0] * 252, abs=1e-10)
    assert value("alpha_t") == pytest.approx(fit.tvalues[0], abs=1e-8)
    residual = math.sqrt(float((fit.resid**2).sum()) / (DAYS - 2))
    assert value("information_ratio") == pytest.approx(fit.params[0] / residual * math.sqrt(252))
    mean = statsmodels.OLS(OWN - FREE, np.ones(DAYS)).fit(cov_type="HAC", cov_kwds=options)
    assert value("sharpe_t") == pytest.approx(mean.tvalues[0], abs=1e-8)


def test_a_copy_of_the_benchmark() -> None:
    """It has beta one and captures everything, and nothing is left to be alpha."""
    found = told(Stream(MARKET, 252, None, MARKET))
    assert found["beta"].value == pytest.approx(1)
    assert found["up_capture"].value == pytest.approx(1)
    assert found["down_capture"].value == pytest.approx(1)
    assert found["crisis_alpha"].value == 0
    assert found["alpha_t"] == Said("alpha_t", None, "nothing is left of the returns")
    assert found["information_ratio"].value is None


def test_losses_are_negative() -> None:
    """Drawdown, value at risk and expected shortfall, the last two in order."""
    assert value("max_drawdown") < 0
    assert value("expected_shortfall") < value("value_at_risk") < 0


def test_a_drawdown_counts_from_the_start() -> None:
    """A first session that loses is a drawdown: the peak includes the starting 1."""
    assert worst_drawdown(np.array([-0.2, 0.1])) == pytest.approx(-0.2)
    assert worst_drawdown(np.array([0.1, 0.2])) == 0
    assert falls(levels(np.array([0.5, -1.0, 0.0]))).tolist() == [0, 0, -1, -1]


def test_the_table_of_drawdowns() -> None:
    """Two falls that recover and one that lasts, deepest first."""
    returns = np.array([0.1, -0.1, 0.2, -0.3, 0.1, 1.0, -0.05, 0.01])
    table = drawdown_table(returns)
    assert [(fall.began, fall.bottom, fall.recovered) for fall in table] == [
        (3, 3, 5),
        (1, 1, 2),
        (6, 6, None),
    ]
    assert [fall.depth for fall in table] == pytest.approx([-0.3, -0.1, -0.05])
    assert drawdown_table(returns, 1) == table[:1]
    assert drawdown_table(np.array([0.1])) == []
    assert isinstance(table[0], Drawdown)


def test_antifragility_needs_its_tails() -> None:
    """A hundred returns and ten in each tail; otherwise it says what is lacking."""
    short = told(Stream(OWN[: ANTIFRAGILE_LEAST - 1], 252))["antifragility"]
    assert short.value is None
    assert short.note == ("insufficient: needs 100 returns and 10 in each tail, and has 99 and 5")
    thin = told(Stream(OWN[:150], 252))["antifragility"]
    assert thin.note is not None
    assert thin.note.endswith("has 150 and 8")
    gain, loss = np.sort(OWN)[-25:].mean(), -np.sort(OWN)[:25].mean()
    assert value("antifragility") == pytest.approx(value("skew") + math.log(gain / loss))


def test_insufficient_data_says_so() -> None:
    """Too few returns give no figure, and the note says how many there are."""
    found = told(Stream(OWN[:19], 252, None, MARKET[:19]))
    assert [said.figure for said in found.values() if said.value is not None] == ["max_drawdown"]
    assert found["sharpe"].note == "insufficient: needs 20 returns and has 19"
    assert told(Stream(OWN, 252))["beta"].note == "there is no benchmark"
    assert set(found) == {*METRICS, *BESIDE}


def test_what_can_not_be_told_says_why() -> None:
    """No division by nothing, whatever the returns."""
    still = told(Stream(np.zeros(30), 252, None, np.zeros(30)))
    assert {said.figure for said in still.values() if said.value is None} >= {
        "sharpe", "sharpe_t", "sortino", "calmar", "profit_factor", "beta", "up_capture",
    }  # fmt: skip
    lost = told(Stream(np.array([*OWN[:30], -1.0]), 252))
    assert lost["annual_return"].note == "the account was lost"
    assert lost["max_drawdown"].value == pytest.approx(-1)


def test_a_session_without_a_return_is_refused() -> None:
    """Every way of filling it would flatter somebody."""
    with pytest.raises(ContractError, match="1 of 500 values of returns are no numbers"):
        Stream(np.where(np.arange(DAYS) == 3, np.nan, OWN), 252)
    with pytest.raises(ContractError, match="1 of 500 values of benchmark are no numbers"):
        Stream(OWN, 252, None, np.where(np.arange(DAYS) == 3, np.inf, MARKET))
    with pytest.raises(ContractError, match="499 values of risk_free for 500 returns"):
        Stream(OWN, 252, FREE[1:])


@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-0.5, 0.5)),
    st.sampled_from([252, 365]),
)
def test_every_figure_is_a_number_or_says_why(returns: np.ndarray, periods: int) -> None:
    """No NaN, no infinity, no warning turned number, on any returns."""
    with np.errstate(all="raise", under="ignore"):
        for said in metrics(Stream(returns, periods, None, returns[::-1].copy())):
            assert (said.value is None) != (said.note is None)
            assert said.value is None or math.isfinite(said.value)


def test_the_bytes_do_not_depend_on_the_buffer() -> None:
    """A slice and its copy say the same to the last bit."""
    assert told(Stream(OWN[100:400], 252, None, MARKET[100:400])) == told(
        Stream(OWN[100:400].copy(), 252, None, MARKET[100:400].copy())
    )
