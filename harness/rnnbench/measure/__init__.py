"""One process, one number: clocks, samples, intervals, and the memory a call needs."""
