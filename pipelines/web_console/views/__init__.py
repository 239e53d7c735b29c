"""What each page of a console shows: functions of what is asked, that read the store and touch nothing else."""
