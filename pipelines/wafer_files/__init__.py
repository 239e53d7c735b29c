"""Files of inspected wafers: KLARF, bin maps, npz of die maps, files of events. All give `inspections.Inspections`."""
