"""The command line: one small module a command, which parses, calls and prints."""
