"""False alarms as a budget: the p-value of a rule that fired, and the strictness of rules by what a job may raise."""
