"""Look-up of records by the values of their keys."""

from stagewise.metrics.schema import Record


class Index:
    """Records of one part of the metrics, looked up by the values of any of their keys."""

    def __init__(self, records: list[Record]):
        self._records = records
        self._by_keys: dict[tuple[str, ...], dict[tuple, list]] = {}

    def select(self, **keys) -> list:
        """All records with these values, in order; lists are compared as tuples."""
        names = tuple(keys)
        if names not in self._by_keys:
            groups = self._by_keys[names] = {}
            for record in self._records:
                groups.setdefault(tuple(_hashable(getattr(record, name)) for name in names), []).append(record)
        return self._by_keys[names].get(tuple(map(_hashable, keys.values())), [])


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value
