"""The timeline of one thread block: what happened when, in modelled cycles."""
