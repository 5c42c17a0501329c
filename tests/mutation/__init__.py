"""Small faults are put into the code that carries promises, one at a time; the tests have to notice."""
