"""One minimization from thousands of starts at a time: BFGS, every start a row of an array.

SciPy minimizes from one start per call; 4,500 calls take minutes. Here all starts take their steps
together, so that each step is a few large array operations. With five unknowns the full matrix of
BFGS is as cheap as the memory of L-BFGS, whose limit it is. Source: Nocedal & Wright (2006),
algorithm 6.1 and equation 6.17, with Armijo's rule (equation 3.4) for the length of a step.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

# (points S x P, which rows of the problem they belong to) -> (values S, gradients S x P)
Objective = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
LONGEST_STEP = 2.0
TOLERANCE = 1e-12  # relative decrease below which a start has made no progress


def minimize_all(
    objective: Objective, starts: Float[np.ndarray, "S P"], iterations: int = 200
) -> tuple[Float[np.ndarray, "S P"], Float[np.ndarray, " S"]]:
    """Where each start ends, and the objective there.

    A start is done when two iterations in a row, the second along the gradient, decrease its
    objective by less than a relative 1e-12, or after `iterations`.
    """
    points = np.array(starts, dtype=np.float64)
    size = points.shape[1]
    inverse = np.tile(np.eye(size), (len(points), 1, 1))  # of the Hessian, approximately
    active = np.arange(len(points))
    values, gradients = objective(points, active)
    idle = np.zeros(len(points), dtype=int)
    for iteration in range(iterations):
        if not len(active):
            break
        old = points[active], values[active], gradients[active]
        direction = -np.einsum("sij,sj->si", inverse[active], old[2])
        uphill = (direction * old[2]).sum(1) >= 0
        inverse[active[uphill]] = np.eye(size)
        direction[uphill] = -old[2][uphill]
        new = line_search(objective, old, direction, active)
        moved, change = new[0] - old[0], new[2] - old[2]
        inverse[active] = updated(inverse[active], moved, change, first=iteration == 0)
        points[active], values[active], gradients[active] = new
        no_progress = old[1] - new[1] <= TOLERANCE * np.abs(new[1])
        inverse[active[no_progress]] = np.eye(size)  # try once more, along the gradient
        idle[active] = np.where(no_progress, idle[active] + 1, 0)
        active = active[idle[active] < 2]
    return points, values


def line_search(
    objective: Objective,
    old: tuple[np.ndarray, np.ndarray, np.ndarray],
    direction: Float[np.ndarray, "S P"],
    rows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """New points, values and gradients: each row shortens its step until the value falls enough."""
    points, values, gradients = (array.copy() for array in old)
    slope = (direction * gradients).sum(1)
    step = np.minimum(1.0, LONGEST_STEP / np.maximum(np.linalg.norm(direction, axis=1), 1e-300))
    waiting = np.arange(len(points))
    for _ in range(25):
        trial = points[waiting] + step[waiting, None] * direction[waiting]
        value, gradient = objective(trial, rows[waiting])
        enough = value <= values[waiting] + 1e-4 * step[waiting] * slope[waiting]
        done = waiting[enough]
        points[done], values[done], gradients[done] = trial[enough], value[enough], gradient[enough]
        waiting = waiting[~enough]
        if not len(waiting):
            break
        step[waiting] *= 0.4
    return points, values, gradients


def updated(
    inverse: Float[np.ndarray, "S P P"],
    moved: Float[np.ndarray, "S P"],
    change: Float[np.ndarray, "S P"],
    first: bool,
) -> Float[np.ndarray, "S P P"]:
    """BFGS's new inverse Hessian from a move and the change of the gradient along it.

    Rows whose curvature along the move is not positive keep their matrix. After the first step the
    matrix is scaled to the curvature seen (equation 6.20).
    """
    curvature = (moved * change).sum(1)
    lengths = np.linalg.norm(moved, axis=1) * np.linalg.norm(change, axis=1)
    good = curvature > 1e-14 * lengths + 1e-300
    rho = np.where(good, 1 / np.where(good, curvature, 1.0), 0.0)
    if first:
        scale = np.where(good, curvature / np.maximum((change**2).sum(1), 1e-300), 1.0)
        inverse = inverse * scale[:, None, None]
    turned = np.einsum("sij,sj->si", inverse, change)
    outer = moved[:, :, None] * turned[:, None, :]
    factor = rho * (1 + rho * (change * turned).sum(1))
    square = moved[:, :, None] * moved[:, None, :]
    new = inverse + factor[:, None, None] * square
    new = new - rho[:, None, None] * (outer + outer.transpose(0, 2, 1))
    return np.where(good[:, None, None], new, inverse)
