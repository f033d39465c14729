"""The job: its document, its state machine and what it asks for next. Pure: no I/O, no clock of its own."""
