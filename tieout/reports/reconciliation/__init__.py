"""From one ledger to the other, and to its own control account, with nothing left over."""
