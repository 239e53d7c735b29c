"""Damaged inputs for every decoder and parser: each is read, or refused by name (`make fuzz`).

Seeds are our own files, events and stored state; input n of a decoder is the same each time. Ends with exit code 1 if
any input ended otherwise: another error, an ended process, an input never read, a wafer of a lost list.
"""

import sys

import click

from benchmarks.harness import Result, write_results
from tests.fuzz.campaign import KNOWN, Plan, campaign, decoders_of
from tests.fuzz.decoder import ACCEPTED, Tally


@click.command()
@click.option("--inputs", default=20_000, show_default=True, help="Inputs of each decoder.")
@click.option("--processes", default=2, show_default=True)
@click.option("--only", default="", help="Only decoders whose names contain this.")
@click.option("--write/--no-write", default=True, help="Whether figures are written to benchmarks/results.")
def main(inputs: int, processes: int, only: str, write: bool) -> None:
    """Run the campaign."""
    names = [name for name in decoders_of(KNOWN) if only in name]
    tallies = campaign(names, Plan(KNOWN, inputs, processes), _show)
    if write:
        write_results("fuzz", [_result(tally) for tally in tallies], keep_others=True)
    sys.exit(1 if any(tally.failed for tally in tallies) else 0)


def _show(tally: Tally) -> None:
    print(tally.line(), flush=True)
    for number, what in tally.failures:
        print(f"  input {number}: {what}", flush=True)


def _result(tally: Tally) -> Result:
    accepted = tally.outcomes[ACCEPTED]
    refused = tally.outcomes.total() - accepted
    return Result(
        name=tally.decoder,
        value=tally.failed,
        unit="failures",
        target=0,
        met=not tally.failed,
        note=f"{tally.inputs:,} inputs: {accepted:,} accepted, {refused:,} refused; slowest {tally.slowest_s:.2f} s",
    )


if __name__ == "__main__":
    main()
