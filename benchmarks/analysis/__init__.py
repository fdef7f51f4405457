"""From a store's long tables to estimates: the problem draw is the unit, pairs stay within it."""
