"""All decoders and parsers that are fuzzed."""

from tests.fuzz import events, stored, tables, wafers

DECODERS = (*events.DECODERS, *tables.DECODERS, *wafers.DECODERS, *stored.DECODERS)
