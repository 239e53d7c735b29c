"""Parts in C, which an installation has where there was a compiler."""


def is_current(part: object, interface: int) -> bool:
    """Whether a part is here, and built from these sources; a checkout may have an older one until `make native`.

    Args:
        part: The module, None where there is none.
        interface: What the sources have as `INTERFACE`.
    """
    return getattr(part, "INTERFACE", None) == interface
