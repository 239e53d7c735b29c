"""What the words and numbers of a console's pages mean; each is linked to its line here."""

#: By the name that pages link to: the word, and what it means.
WORDS: dict[str, tuple[str, str]] = {
    "incident": ("incident", "Findings of one cause, from the first window that shows it to those that no longer do."),
    "severity": ("severity", "The highest of all that was found: info, warning or critical."),
    "suspect": ("suspect", "The finding that explains most of an incident: the rule, and what it is about."),
    "since": ("since", "Start of the first window that shows it. All times are UTC and those of the events."),
    "windows": ("windows", "Windows with a finding of the incident."),
    "sure": (
        "by chance",
        "How sure it is: a bound on the probability that a clean stream shows as much by chance. Small is sure. "
        "Rules that test no chance, such as a lost topic, have none.",
    ),
    "where": ("where", "The rows that carry the change: conditions on other columns, or everywhere alike."),
    "weight": ("weight", "Effect times subjects, summed over windows: how much is wrong, and for how long."),
    "first": (
        "what first",
        "The order of the list: what nobody looks after yet, then the most severe, the weightiest, the oldest.",
    ),
    "value": ("value", "What the rule judged in the last window that showed it."),
    "threshold": ("threshold", "The value from which on the rule fires."),
    "baseline": ("baseline", "The value that was expected, from a reference or from the job's own windows."),
    "band": (
        "band",
        "Between what nine in ten windows without an alert lie, by hour of the day where there are enough.",
    ),
    "ack": ("looks after it", "Somebody said so; what is found is told as before."),
    "mute": (
        "mute",
        "What the incident found so far raises no alert; other findings do. It ends by itself, or by unmute.",
    ),
    "close": (
        "false alarm",
        "The incident is resolved by hand. What it found is silent while it goes on, and told if it comes back.",
    ),
    "accept": (
        "accept",
        "What is new is the new normal. A job that learns takes it into its baseline; beside a fixed reference or "
        "model it is silent until the job compares with another version.",
    ),
    "unmute": ("tell again", "What the incident found is told again."),
    "rank": ("rank", "Place in the ranking, 1 is best."),
    "signal": (
        "of label",
        "What the feature tells of clicks: mutual information less what chance would show, as a share of all there is "
        "to tell.",
    ),
    "p": ("p", "Probability that a feature that tells nothing shows as much."),
    "nulls": ("without value", "Share of rows in which the feature has no value."),
    "mistyped": ("of another type", "Share of rows whose value is of another type than the job declares."),
    "unseen": ("unseen", "Share of values that the baseline does not know."),
    "values": ("values", "Distinct values of a window."),
    "bytes": (
        "bytes a row",
        "Bytes of a row on average: texts in UTF-8, numbers by width.",
    ),
    "signal-a-byte": ("signal a byte", "Information about clicks above chance, in nats, over bytes a row."),
    "redundancy": (
        "redundancy",
        "How much two features say the same, above chance: 100 % where each determines the other; of a group that of "
        "the two that are least alike.",
    ),
    "score": ("score", "How unusual a row is; scores of two models cannot be compared."),
    "row-p": ("p", "Share of the model's calibration rows that are as unusual."),
    "columns": ("columns", "What makes the row an outlier: how far its score falls if the column's value is ordinary."),
    "verdict": (
        "verdict",
        "known: a known pattern; normal: nothing wrong; novel: unlike all known; model_does_not_fit: not judged.",
    ),
    "novelty": ("novelty", "How unlike the known patterns a wafer is; higher is more novel."),
    "wafer-p": ("p", "Share of the model's calibration wafers that are as novel."),
    "nearest": ("nearest", "The known pattern that a wafer is most like, also where it is novel."),
    "compactness": (
        "compactness",
        "Mean distance of a pattern's wafers from their mean, over that of a known pattern; below 1 is more compact.",
    ),
    "counted": ("counted", "Events that were on time and could be read. Read = counted + late + rejected."),
    "late": ("late", "Events whose window had ended; they lie in a topic of their own."),
    "rejected": ("rejected", "Records that cannot be used; they lie in a topic of their own with their reason."),
    "lost": ("lost", "Records that the broker deleted before the job came to them, at most."),
    "lag": ("behind", "Records of a partition that the job has not read or not committed yet, at most."),
    "version": ("version", "A folder of a model; running jobs use the one that is latest, and follow it."),
}
