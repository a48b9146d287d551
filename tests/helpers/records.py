"""Look-up in lists of records."""


def find(records: list, **keys):
    """Return the only record, a dictionary or an object, with these values; an absent key counts as null."""
    matching = [record for record in records if all(_get(record, key) == value for key, value in keys.items())]
    assert len(matching) == 1, f"{len(matching)} records for {keys}"
    return matching[0]


def _get(record, key: str):
    return record.get(key) if isinstance(record, dict) else getattr(record, key)
