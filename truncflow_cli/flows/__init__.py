"""The paper's gradient flows, each between events a smooth field that can be expanded in a Taylor series."""
