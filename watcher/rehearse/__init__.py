"""Rules before they are trusted: tested on made-up series, tried on past runs, and their decisions explained."""
