"""The broker's password, from where the settings say it is."""

import os
from pathlib import Path

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings


def read_password(settings: KafkaSettings) -> str | None:
    """The password named by the settings.

    Raises:
        ConfigError: If the variable is not set or the file cannot be read.
    """
    if settings.password_env is not None:
        password = os.environ.get(settings.password_env)
        if password is None:
            raise ConfigError(f"kafka.password_env: the environment has no variable {settings.password_env!r}")
        return password
    if settings.password_file is not None:
        try:
            return Path(settings.password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"kafka.password_file: {error}") from error
    return None
