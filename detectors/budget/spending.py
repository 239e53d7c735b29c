"""How a job's budget of false incidents a day is spent over its rules, subjects and windows.

A window spends the budget of its own length: `per_day * length / day`. It is divided equally among the families of
tests that a job makes, and within a family among its tests, one a subject (weighted Bonferroni: Genovese, Roeder and
Wasserman, Biometrika 93, 2006). So 500 features make the rules on each of them stricter, and leave those on the
stream alone. The expected number of false findings a day is then at most the budget, however the tests depend on each
other: Tukey's error rate per family, with a day as the family. Incidents are budgeted, and each has a finding at least.

Online control of the false discovery rate (LORD: Javanmard and Montanari, Annals of Statistics 46, 2018; SAFFRON:
Ramdas et al., ICML 2018) was considered and not taken. It bounds the *share* of false ones among all that is found,
while a budget is a number a day: while a fault lasts, its many findings would earn the right to as many false ones. Its
wealth is a state that windows pass on in their order, so that what a worker decides would depend on all windows before;
and as wealth is earned by findings, a stream without a fault, as most are, spends ever less and goes blind.

No test is stricter than `MOST_STRICT_Z`, so that a small budget does not blind a job, and none fires below
`LEAST_STRICT_Z`, whatever the budget: windows follow each other, and no tolerance is known so well. At 3 a job whose
reference knew half a day opened 7 incidents in the 240 hours after it, at 5 none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sparsewatch.detectors.budget.chance import alpha_of, z_of
from sparsewatch.schemas.units import DAY_US

#: Strictness of any test, whatever the budget: 1 in 500 million, and 1 in 16,000.
MOST_STRICT_Z, LEAST_STRICT_Z = 6.0, 4.0
_LEAST_ALPHA, _MOST_ALPHA = alpha_of(MOST_STRICT_Z), alpha_of(LEAST_STRICT_Z)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a window of a job may spend.

    Args:
        per_day: Budget of false incidents a day, > 0.
        window_us: Length of a window, > 0.
        tests: Number of tests that a window makes, at least 1, by family.
    """

    per_day: float
    window_us: int
    tests: Mapping[str, int]

    def share(self, family: str) -> float:
        """False findings of a family a day."""
        if family not in self.tests:
            raise KeyError(f"expected one of the families {sorted(self.tests)}, got {family!r}")
        return self.per_day / len(self.tests)

    def spent(self, family: str) -> float:
        """What a single test of a family may spend in a window, within no bounds."""
        return self.share(family) * self.window_us / DAY_US / self.tests[family]

    def alpha(self, family: str) -> float:
        """Probability at which a single test of a family may fire by chance."""
        return min(max(self.spent(family), _LEAST_ALPHA), _MOST_ALPHA)

    def z(self, family: str) -> float:
        """The same in standard deviations."""
        bounds = {_LEAST_ALPHA: MOST_STRICT_Z, _MOST_ALPHA: LEAST_STRICT_Z}
        alpha = self.alpha(family)
        return bounds.get(alpha) or z_of(alpha)

    @property
    def most(self) -> float:
        """False findings a day at most: the budget, or more where no test may be as strict as it asks."""
        return sum(self.alpha(family) * number for family, number in self.tests.items()) * DAY_US / self.window_us
