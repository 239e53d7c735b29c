"""Every error sparsewatch raises on purpose.

    SparsewatchError
      ConfigError     a setting is wrong; raised before anything is read        exit code 2
        SettingError  a value does not fit its key; a ValueError, too           exit code 2
      AccessError     the broker refuses password, certificate or operation     exit code 2
      SchemaError     one record or one file does not fit its schema            becomes a reject in a stream
      ModelError      a model artefact is missing, damaged or of another kind   exit code 2 at start
      FencedError     a newer instance of the job has taken over                exit code 3
      StateError      stored state cannot be read, or belongs to other settings exit code 2 at start
      SourceError     the broker or a partition cannot be read                  retriable
      SinkError       a result could not be written                             retriable

Messages say what was expected, what came, and where.
"""

import msgspec

#: What msgspec raises for bytes that are not JSON of a type, text that is no UTF-8 and endless nesting included.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class SparsewatchError(Exception):
    """Root of the tree; `retriable` says whether trying again can help."""

    retriable: bool = False
    #: Of a command that it ends.
    exit_code: int = 2


class ConfigError(SparsewatchError):
    """A setting is wrong: the job stops before it reads."""


class SettingError(ConfigError, ValueError):
    """A value is outside the range of its key, or does not fit those of other keys.

    As a ValueError it passes through msgspec, which adds where in a file the table of the key stands.
    """


class AccessError(SparsewatchError):
    """The broker does not let us in, or does not let us do something: settings or rights must change."""


class SchemaError(SparsewatchError):
    """A record or a file does not fit its schema."""


class ModelError(SparsewatchError):
    """A model artefact is missing, damaged or of another kind."""


class StateError(SparsewatchError):
    """Stored state cannot be read, or belongs to other settings."""


class FencedError(SparsewatchError):
    """A newer instance of the job has taken over: this one stops."""

    exit_code = 3


class SourceError(SparsewatchError):
    """The broker or one of its partitions cannot be read."""

    retriable = True


class SinkError(SparsewatchError):
    """A result could not be written."""

    retriable = True
