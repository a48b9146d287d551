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
