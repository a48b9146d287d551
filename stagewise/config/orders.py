"""Arms in several orders of tasks: one whose stages name tasks by position stands there once for each order."""

from stagewise.config.arms import Arm

Arms = dict[str, Arm | None]
Orders = dict[str, list[str] | None]


def name_in_order(arm: str, order: str) -> str:
    """Name of an arm that names its tasks by position, in one order."""
    return f"{arm}-{order}"


def arms_in_orders(arms: Arms, orders: Orders) -> dict[str, Arm]:
    """Put each order's tasks in the place of their positions; arms that are null are left out."""
    named: dict[str, Arm] = {}
    for name, arm in arms.items():
        if arm is None:
            continue
        if not arm.has_positions:
            named[name] = arm
            continue
        named |= {name_in_order(name, order): arm.in_order(tasks) for order, tasks in orders.items() if tasks}
    return named


def order_of_arms(arms: Arms, orders: Orders) -> dict[str, str]:
    """Map the full name of each arm that names tasks by position to its order."""
    positioned = [name for name, arm in arms.items() if arm is not None and arm.has_positions]
    return {name_in_order(name, order): order for name in positioned for order, tasks in orders.items() if tasks}


def check_orders(arms: Arms, orders: Orders, tasks) -> None:
    """Check the orders against the declared tasks, and the arms' positions against the orders.

    Raises
    ------
    ValueError
        For the first thing that does not fit.
    """
    orders = {name: order for name, order in orders.items() if order}
    for name, order in orders.items():
        if unknown := [task for task in order if not tasks.get(task)]:
            raise ValueError(f"orders.{name} names the task '{unknown[0]}', which tasks does not declare")
        if len(set(order)) < len(order):
            raise ValueError(f"orders.{name}: a task is given twice")
    names: set[str] = set()
    for name, arm in arms.items():
        if arm is None:
            continue
        if arm.has_positions:
            _check_positions(name, arm, orders)
        for full_name in arms_in_orders({name: arm}, orders):
            if full_name in names:
                raise ValueError(
                    f"arms: two arms are called '{full_name}', one of them by its order; rename the arm or the order"
                )
            names.add(full_name)


def _check_positions(name: str, arm: Arm, orders: dict[str, list[str]]) -> None:
    if not orders:
        raise ValueError(f"arms.{name} names tasks by their position, and there are no orders; declare them")
    last = max(task for stage in arm.stages for task in stage.tasks if isinstance(task, int))
    for order, tasks in orders.items():
        if last > len(tasks):
            raise ValueError(f"arms.{name} names the task at position {last}, and orders.{order} has {len(tasks)}")
