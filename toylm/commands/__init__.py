"""What the verbs of the command line do: arguments, printing, exit status. The work itself is in the packages below."""
