"""Guided labs: what an act asks is put to the learner first, then answered by the network.

Pure: from the record of a rehearsal to questions (`question`, `choosing`), from a typed line to an answer (`answer`),
from that and the record of the run to a grade (`grading`), and all of it in words (`wording`). What is seen of the act
beforehand is its own source without what it asserts (`scene`). `progress` and `sheet` are files.
The dialogue is in `pktlab.cli.learn`.
"""
