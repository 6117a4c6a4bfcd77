"""What the compiled twins of `eddy.kernel.viper` do, in plain code: the definition, and what runs where a twin is missing.

Nothing here is imported beside a twin: on a microcontroller it would be dead weight on the heap.
"""
