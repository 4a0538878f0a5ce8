"""(to come)"""

COMMANDS: tuple[()] = ()
