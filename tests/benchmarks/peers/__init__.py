"""What one would write otherwise: the same flow from its plain loss or field, given to a general ODE solver."""
