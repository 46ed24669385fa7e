"""Makes the generated parts of pages and the README's picture; only those who change the program need it."""
