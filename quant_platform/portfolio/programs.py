"""Convex programs within limits: least variance, nearest weights, best ratio, best utility.

1. A program is put down as a cone program and solved by Clarabel's interior-point method: the
   solver that cvxpy and skfolio use, asked directly, which takes a millisecond for twenty names
   where a modelling library takes two seconds to import and more to translate.
2. The covariance is scaled to a mean variance of one first, so that tolerances mean the same for
   daily returns of bonds and of coins. A popular library returns a wrong minimum variance on
   unscaled ones.
3. The constraints that hold the solution say which linear system it solves; that system is solved
   once more, exactly, and its answer taken if it keeps every limit and its multipliers have the
   right sign (the conditions of Karush, Kuhn and Tucker, which prove the optimum of a convex
   problem). So a solution is exact to rounding, not to a tolerance. A limit on the deviation is no
   linear one: there the solver's answer stands, to its tolerance.
4. What does not keep its limits, or is not proved, is no solution: None.

Every program is solved from nothing: its answer depends on the problem alone, never on the one
before, and a range has the bytes of its days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant_platform.portfolio.covariance import Mask, Matrix, Vector
from quant_platform.portfolio.limits import Limits

_TOLERANCE = 1e-12
_BOUND = 1e-11
"""Distance from a bound below which a weight is the bound."""
_SETTLED = 1e-9
"""Size below which a slack or a multiplier of the scaled problem is rounding."""


@dataclass(frozen=True, eq=False)
class _Program:
    """Minimise ½ x'Px + q'x under equal x = level, rows x <= most, |cone x| <= most of the cone."""

    quadratic: Matrix
    linear: Vector
    equal: Matrix
    level: Vector
    rows: Matrix
    most: Vector
    cone: tuple[Matrix, Vector] | None = None


def least_variance(covariance: Matrix, limits: Limits) -> Vector | None:
    """Return the portfolio of least variance within limits, or None where none could be proved.

    Parameters
    ----------
    covariance
        Positive definite, names by names.
    limits
        What the weights must keep.
    """
    return best_utility(covariance, np.zeros(len(covariance)), limits)


def best_utility(covariance: Matrix, linear: Vector, limits: Limits) -> Vector | None:
    """Return the portfolio of least ½ variance plus a linear cost within limits.

    Parameters
    ----------
    covariance
        Positive semidefinite, names by names, times whatever risk aversion is meant.
    linear
        Cost of a weight of one for each name, in the unit of the variance; expected returns are
        negative costs.
    limits
        What the weights must keep.
    """
    scale = float(np.diag(covariance).mean())
    if not np.isfinite(covariance).all() or scale <= 0 or _negative(covariance):
        return None
    program = _within(covariance / scale, linear / scale, limits, covariance)
    return _kept(_solve(program), limits, covariance)


def dear(
    covariance: Matrix, linear: Vector, limits: Limits, before: Vector, rate: Vector
) -> Vector | None:
    """Return the best utility when trading away from what is held costs something.

    Parameters
    ----------
    covariance, linear, limits
        As of `best_utility`.
    before
        Weights that are held.
    rate
        Cost of trading an amount of one of each name, in the unit of the variance.
    """
    names = len(before)
    scale = float(np.diag(covariance).mean())
    if not np.isfinite(covariance).all() or scale <= 0 or _negative(covariance):
        return None
    plain = _within(covariance / scale, linear / scale, limits, covariance)
    one, none = np.eye(names), np.zeros((names, names))

    def widened(matrix: Matrix) -> Matrix:
        return np.hstack([matrix, np.zeros((len(matrix), names))])

    program = _Program(
        np.block([[plain.quadratic, none], [none, none]]),
        np.concatenate([plain.linear, rate / scale]),
        widened(plain.equal),
        plain.level,
        np.vstack([widened(plain.rows), np.hstack([one, -one]), np.hstack([-one, -one])]),
        np.concatenate([plain.most, before, -before]),
        None if plain.cone is None else (widened(plain.cone[0]), plain.cone[1]),
    )
    found = _solve(program)
    return None if found is None else _kept(found[:names], limits, covariance)


def nearest(weights: Vector, limits: Limits, covariance: Matrix | None = None) -> Vector | None:
    """Return the portfolio within limits with the least squared distance from some weights.

    Weights that keep the limits are handed back themselves. None where nothing keeps them.

    Parameters
    ----------
    weights
        Wanted weights.
    limits
        What must be kept.
    covariance
        Of a session; needed where the limits have a deviation.
    """
    exact = abs(weights.sum() - limits.total) <= _TOLERANCE
    inside = (weights >= limits.lower).all() and (weights <= limits.upper).all()
    if exact and inside and limits.hold(weights, covariance):
        return weights
    program = _within(np.eye(len(weights)), -weights, limits, covariance)
    return _kept(_solve(program), limits, covariance)


def best_ratio(reward: Vector, covariance: Matrix, limits: Limits) -> Vector | None:
    """Return the portfolio with the most reward for its deviation within limits.

    With y the weights times a positive number, the ratio is best where y'Σy is least under
    reward'y = 1 (Charnes and Cooper 1962); the limits become those of y, and the weights y over
    their sum. None where no portfolio within limits has a positive reward.

    Parameters
    ----------
    reward
        Of a weight of one of each name: expected excess returns, or deviations.
    covariance
        Positive definite, names by names.
    limits
        What the weights must keep; they add up to one.
    """
    scale, unit = float(np.diag(covariance).mean()), float(np.abs(reward).max(initial=0.0))
    if not np.isfinite(covariance).all() or scale <= 0 or unit <= 0 or _negative(covariance):
        return None
    if not best_reward(reward, limits) > 0:
        return None
    plain = _within(covariance / scale, np.zeros(len(reward)), limits, covariance)
    # Limits A w <= b of weights are (A - b 1') y <= 0 of their multiples.
    rows = np.vstack([plain.rows - plain.most[:, None], np.full((1, len(reward)), -1.0)])
    equal = plain.equal[1:] - plain.level[1:, None]
    cone = None
    if plain.cone is not None:
        factor, most = plain.cone
        cone = (np.vstack([-np.full((1, len(reward)), most[0]), factor[1:]]), np.zeros(len(most)))
    program = _Program(
        plain.quadratic,
        plain.linear,
        np.vstack([reward[None, :] / unit, equal]),
        np.concatenate([[1.0], np.zeros(len(equal))]),
        rows,
        np.zeros(len(rows)),
        cone,
    )
    found = _solve(program)
    if found is None or not found.sum() > 0:
        return None
    return _kept(found / found.sum(), limits, covariance)


def best_reward(reward: Vector, limits: Limits) -> float:
    """Return the largest reward within the linear limits; minus infinity where nothing keeps them.

    Parameters
    ----------
    reward
        Of a weight of one of each name.
    limits
        What must be kept; the deviation is not looked at.
    """
    from scipy.optimize import linprog

    equal = np.vstack([np.ones((1, len(reward))), limits.equal.reshape(-1, len(reward))])
    found = linprog(
        -reward,
        A_ub=limits.rows if len(limits.most) else None,
        b_ub=limits.most if len(limits.most) else None,
        A_eq=equal,
        b_eq=np.concatenate([[limits.total], limits.level]),
        bounds=np.column_stack([limits.lower, limits.upper]),
        method="highs",
    )
    return -float(found.fun) if found.status == 0 else -np.inf


def _negative(covariance: Matrix) -> bool:
    """Whether a matrix is no covariance: a program on it would not be convex."""
    eigenvalues = np.linalg.eigvalsh(covariance)
    return bool(eigenvalues[0] < -_SETTLED * abs(eigenvalues[-1]))


def _within(
    quadratic: Matrix, linear: Vector, limits: Limits, covariance: Matrix | None
) -> _Program:
    """Put down a program on weights within limits; the total is the first equality."""
    names = len(linear)
    one = np.eye(names)
    cone = None
    if limits.deviation is not None:
        assert covariance is not None  # a deviation of weights is one of a covariance
        values, vectors = np.linalg.eigh(covariance)
        factor = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T / limits.deviation
        cone = (
            np.vstack([np.zeros((1, names)), -factor]),
            np.concatenate([[1.0], np.zeros(names)]),
        )
    return _Program(
        quadratic,
        linear,
        np.vstack([np.ones((1, names)), limits.equal.reshape(-1, names)]),
        np.concatenate([[limits.total], limits.level]),
        np.vstack([-one, one, limits.rows.reshape(-1, names)]),
        np.concatenate([-limits.lower, limits.upper, limits.most]),
        cone,
    )


def _kept(weights: Vector | None, limits: Limits, covariance: Matrix | None) -> Vector | None:
    """Weights exactly between their bounds, or None if they do not keep the limits."""
    if weights is None or not limits.hold(weights, covariance):
        return None
    clipped = np.clip(weights, limits.lower, limits.upper)
    for bound in (limits.lower, limits.upper):
        clipped = np.where(np.abs(clipped - bound) <= _BOUND, bound, clipped)
    # The rounding error of the sum goes to the name that has the most room for it.
    rest = limits.total - float(clipped.sum())
    room = np.minimum(clipped - limits.lower, limits.upper - clipped)
    widest = int(np.argmax(room))
    if rest and abs(rest) <= room[widest]:
        clipped[widest] += rest
    return clipped if limits.hold(clipped, covariance) else None


def _solve(program: _Program) -> Vector | None:
    """Solve a program; None where there is no solution."""
    # Imported late: a process that decides nothing need not spend a second.
    import clarabel
    from scipy import sparse

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    cones = [clarabel.ZeroConeT(len(program.level)), clarabel.NonnegativeConeT(len(program.most))]
    matrices, levels = [program.equal, program.rows], [program.level, program.most]
    if program.cone is not None:
        cones.append(clarabel.SecondOrderConeT(len(program.cone[1])))
        matrices.append(program.cone[0])
        levels.append(program.cone[1])
    solver = clarabel.DefaultSolver(
        sparse.triu(sparse.csc_matrix(program.quadratic), format="csc"),
        program.linear,
        sparse.csc_matrix(np.vstack(matrices)),
        np.concatenate(levels),
        cones,
        settings,
    )
    found = solver.solve()
    if str(found.status) not in {"Solved", "AlmostSolved", "InsufficientProgress"}:
        return None
    weights = np.array(found.x)
    if not np.isfinite(weights).all():
        return None
    if program.cone is not None:
        return weights
    multipliers = np.array(found.z)[len(program.level) :]
    slack = program.most - program.rows @ weights
    return _polished(program, weights, multipliers > slack)


def _polished(program: _Program, weights: Vector, active: Mask) -> Vector | None:
    """Solve the program once more with the constraints that hold it; None if nothing is proved."""
    fixed = np.vstack([program.equal, program.rows[active]])
    levels = np.concatenate([program.level, program.most[active]])
    names, count = len(weights), len(levels)
    system = np.block([[program.quadratic, fixed.T], [fixed, np.zeros((count, count))]])
    wanted = np.concatenate([-program.linear, levels])
    # Least squares: constraints that meet in one point leave the multipliers open.
    exact = np.linalg.lstsq(system, wanted, rcond=1e-13)[0]
    point, duals = exact[:names], exact[names + len(program.level) :]
    slack = program.most - program.rows @ point
    off = float(np.abs(system @ exact - wanted).max())
    size = max(1.0, float(np.abs(exact).max()))
    if (
        off <= _SETTLED * size
        and slack.min(initial=0.0) >= -_SETTLED
        and (duals.min(initial=0.0) >= -_SETTLED * size)
    ):
        return np.asarray(point)
    return weights if _optimal(program, weights) else None


def _optimal(program: _Program, weights: Vector) -> bool:
    """Whether no feasible direction improves a solution by more than rounding."""
    gradient = program.quadratic @ weights + program.linear
    slack = program.most - program.rows @ weights
    tight = slack <= 1e-7
    fixed = np.vstack([program.equal, program.rows[tight]])
    from scipy.optimize import lsq_linear

    lower = np.concatenate([np.full(len(program.level), -np.inf), np.zeros(int(tight.sum()))])
    found = lsq_linear(fixed.T, -gradient, bounds=(lower, np.inf))
    return bool(np.abs(found.fun).max() <= 1e-6 * max(1.0, float(np.abs(gradient).max())))
