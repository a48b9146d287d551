"""Orders in which arms learnt the tasks."""

from itertools import pairwise


def group_by_order(
    stages: dict[str, dict[str, int]], tasks: list[str], reference: str
) -> dict[tuple[str, ...], list[str]]:
    """Group arms by the order in which they learnt the tasks, the reference arm's order first.

    A task counts where it was learnt last. Tasks of one stage fit any order, so such an arm joins the first order that
    contradicts none of its stages.

    Parameters
    ----------
    stages
        Stage that learnt each task last, by arm and task.
    tasks
        All tasks.
    reference
        The arm that others are compared with.
    """
    # The arms with most stages make the orders, the others join them.
    makers = sorted(stages, key=lambda arm: (-len(set(stages[arm].values())), arm != reference))
    of_arm: dict[str, tuple[str, ...]] = {}
    for arm in makers:
        position = {task: stages[arm].get(task, len(tasks)) for task in tasks}
        fitting = (order for order in of_arm.values() if all(position[a] <= position[b] for a, b in pairwise(order)))
        of_arm[arm] = next(fitting, tuple(sorted(tasks, key=position.__getitem__)))
    first = of_arm.get(reference)
    orders: dict[tuple[str, ...], list[str]] = {first: []} if first else {}
    for arm in stages:
        orders.setdefault(of_arm[arm], []).append(arm)
    return orders


def arms_over_orders(
    orders: dict[tuple[str, ...], list[str]], names: list[str], arms: list[str]
) -> dict[str, list[str]]:
    """Group arms that differ in the order of tasks alone, by the name that they share.

    Parameters
    ----------
    orders
        Arms by the order in which they learnt the tasks.
    names
        Names of the experiment's `orders`, which end the names of arms that stand there once for each.
    arms
        All arms.

    Returns
    -------
    Empty for one order. Without declared orders, arms are one group, without a name, if each has an order of its own.
    """
    if len(orders) < 2:
        return {}
    if not names:
        return {"": arms} if len(orders) == len(arms) else {}
    bases = dict.fromkeys(arm.removesuffix(f"-{names[0]}") for arm in arms if arm.endswith(f"-{names[0]}"))
    groups = {base: [f"{base}-{name}" for name in names] for base in bases}
    return {base: group for base, group in groups.items() if set(group) <= set(arms)}
