"""How a command ends: its exit codes, and what is said where it was stopped."""

# How a command ends that Ctrl-C or the system stopped: its exit code, and its last line.
INTERRUPTED = 130
STOPPED = "interrupted; nothing is half done: the next run goes on from here"
CODES = """\b
Exit codes, the gravest that applies:
  0  done
  1  differences found (only with --fail-on-differences)
  2  configuration, credentials, wrong company, profile: mend it
  3  temporary: leased, locked, disk full, vendor down: run again
  4  a person must act: approval, guard, sign-in expired
  5  failed
  130  stopped by Ctrl-C or by the system; the next run goes on
"""
