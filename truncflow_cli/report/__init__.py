"""What happened in a run, for people (terminal) and for programs (tables); reads run files only."""
